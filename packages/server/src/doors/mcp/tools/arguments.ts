import * as z from 'zod'
import { RUNTIMES } from '../../../runtimes/runtimes.ts'

/** Arguments that several tools have. */

export const environmentId = z
  .string()
  .min(1)
  .max(256)
  .describe('Id or name of the environment, as create_environment or list_environments answered.')

export const runtime = z.enum(RUNTIMES)

export const filePath = z.string().min(1).describe('Absolute path inside the environment, such as /home/user/a.txt.')

export const processId = z.string().min(1).max(64).describe('Id of the process, as start_process answered.')

/** Exit code and its reason; a code is never invented. */
export const exitFacts = {
  exit_code: z.number().int().nullable().describe('null when there is none: still running, killed, or timed out.'),
  exit: z.string().describe('How it ended, in words.'),
}

export const seconds = (most: number) => z.number().positive().max(most)
