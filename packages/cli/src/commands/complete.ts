import type { Command } from 'commander'
import { complete } from '../completion/complete.ts'
import { liveNames } from '../completion/live-names.ts'
import { isShell, SHELLS, type Shell } from '../completion/shells.ts'
import type { Context } from '../context.ts'
import { STATUS } from '../exit-status.ts'
import type { Io } from '../io.ts'
import { describeProgram } from '../program.ts'
import type { Run } from './registry.ts'

/**
 * A person has pressed Tab and waits: from the start of the process, and for the server at least. Where starting took
 * longer than all of it, the machine is slow and the server too.
 */
const ANSWER_MS = 140
const SERVER_MS = 100

/** What the scripts of `cove completion` call. Says nothing but names, whatever goes wrong. */
export function define(command: Command, { io }: Context, run: Run): void {
  command
    .argument('[shell]')
    .argument('[words...]')
    .passThroughOptions()
    .action((shell: string | undefined, args: string[]) =>
      run(async () => {
        try {
          if (shell !== undefined && isShell(shell)) io.stdout.write(await answerFor(SHELLS[shell], args, io))
        } catch {
          // Whoever presses Tab wants names or nothing.
        }
        return STATUS.ok
      }),
    )
}

async function answerFor({ words, answer }: Shell, args: readonly string[], io: Io): Promise<string> {
  const typed = words(args)
  const nothing = { context: { io, client: () => Promise.reject(new Error('nothing runs')) }, run: async () => {} }
  const program = await describeProgram({ ...nothing, load: (name) => typed.includes(name) })
  const left = Math.ceil(Math.max(SERVER_MS, ANSWER_MS - performance.now(), performance.now()))
  return answer(await complete(program, typed, liveNames(io, AbortSignal.timeout(left))), args)
}
