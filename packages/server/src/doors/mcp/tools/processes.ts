import { CoveError, newProcessId, parseProcessId, type ProcessInfo } from '@cove/domain'
import * as z from 'zod'
import { checkEnv } from '../../../sandboxes/request.ts'
import { checkPath } from '../../connect/from-wire.ts'
import type { ToolCall } from '../call.ts'
import { defineTool } from '../tool.ts'
import { environmentId, exitFacts, filePath, processId, seconds } from './arguments.ts'
import { toExit } from './code.ts'
import { findEnvironment } from './environment.ts'
import { readOutput } from './read-output.ts'
import { stop } from './stop.ts'

const LONGEST_SECONDS = 24 * 86_400
const LONGEST_WAIT_SECONDS = 60
const INPUT_BYTES = 1024 * 1024
/** Linux takes no longer argument, its end included, than 128 KiB. */
const COMMAND_BYTES = 100_000
/** How the ids of background processes begin, so that they are told from what `execute` has run. */
const BACKGROUND = 'bg-'

const processFacts = z.object({
  process_id: z.string(),
  command: z.string(),
  running: z.boolean(),
  ...exitFacts,
  started_at: z.string(),
  output_bytes: z.number().int().describe('Bytes of output so far.'),
})

export const startProcess = defineTool({
  name: 'start_process',
  title: 'Start process',
  description:
    'Starts a shell command in the background, such as a server, and answers at once. Read its output with ' +
    'read_process; it goes on until it ends, is stopped, or its environment ends.',
  role: 'member',
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: true },
  input: z.strictObject({
    environment_id: environmentId,
    command: z.string().min(1, 'must not be empty').describe('Run with sh -c. At most 100,000 bytes of UTF-8.'),
    cwd: filePath.optional().describe("Absolute path of the directory to run in. Default: the user's home."),
    env: z.record(z.string(), z.string()).optional().describe('Environment variables besides the usual ones.'),
    stdin: z.boolean().optional().describe('Keep its input open for write_process. Default false: it is empty.'),
    timeout_seconds: seconds(LONGEST_SECONDS).optional().describe('End it after so long. Default: never.'),
  }),
  facts: processFacts,
  async run({ environment_id: ref, command, cwd, env = {}, stdin = false, timeout_seconds: timeout }, call) {
    if (command.includes('\0')) throw new CoveError('invalid-argument', 'command must not contain NUL')
    const bytes = Buffer.byteLength(command)
    if (bytes > COMMAND_BYTES) {
      const fix = 'Write it into a file with write_file and start that.'
      const message = `command has ${bytes} bytes; at most ${COMMAND_BYTES} are allowed`
      throw new CoveError('payload-too-large', message, { field: 'command', bytes, limit: COMMAND_BYTES }, { fix })
    }
    if (cwd !== undefined) checkPath(cwd, 'cwd')
    checkEnv(env, 'env')
    using lease = await guestOf(ref, call)
    const request = {
      id: parseProcessId(`${BACKGROUND}${newProcessId(call.random)}`),
      argv: ['sh', '-c', command],
      env: { ...(await call.runtimes.environment(lease, call.signal)), ...env },
      stdin,
      ...(cwd === undefined ? {} : { cwd }),
      ...(timeout === undefined ? {} : { timeoutMs: Math.ceil(timeout * 1000) }),
    }
    // Leaving the stream at once detaches: from here on its output is kept for whoever reads it.
    const started = new AbortController()
    const { info, events } = await lease.guest.start(request, AbortSignal.any([call.signal, started.signal]))
    call.noted.details['process'] = info.id
    await events[Symbol.asyncIterator]().return?.()
    started.abort()
    return { facts: toFacts(info) }
  },
})

export const readProcess = defineTool({
  name: 'read_process',
  title: 'Read process output',
  description:
    'Reads the output (stdout and stderr together) of a background process from an offset on. Pass next_offset of ' +
    'the last answer to get only what is new.',
  role: 'viewer',
  annotations: { readOnlyHint: true, openWorldHint: false },
  takesLong: true,
  input: z.strictObject({
    environment_id: environmentId,
    process_id: processId,
    offset: z.number().int().min(0).optional().describe('First byte. Default 0: from the beginning.'),
    wait_seconds: z
      .number()
      .min(0)
      .max(LONGEST_WAIT_SECONDS)
      .optional()
      .describe('Wait up to so long for new output or the end when there is nothing new. Default 0.'),
  }),
  facts: z.object({
    process_id: z.string(),
    output: z.string(),
    next_offset: z.number().int(),
    missed_bytes: z.number().int().describe('Old output that is not kept any more; only the newest 256 KiB are.'),
    truncated: z.boolean().describe('There is more already: read on from next_offset.'),
    running: z.boolean(),
    ...exitFacts,
  }),
  async run({ environment_id: ref, process_id: id, offset = 0, wait_seconds: wait = 0 }, call) {
    const process = parseProcessId(id)
    using lease = await guestOf(ref, call)
    using told = wait > 0 ? call.progress.watch(() => 'waiting for output') : undefined
    void told
    const most = call.settings.outputBytes
    const read = await readOutput(lease.guest, process, { offset, most, waitMs: wait * 1000 }, call.signal)
    const { output, nextOffset, missed, more, exit, timedOut } = read
    return {
      facts: {
        process_id: id,
        output,
        next_offset: nextOffset,
        missed_bytes: missed,
        truncated: more,
        running: exit === undefined,
        ...exitOf(exit, timedOut),
      },
    }
  },
})

export const writeProcessInput = defineTool({
  name: 'write_process',
  title: 'Write process input',
  description: 'Writes text to the input of a background process that was started with stdin true.',
  role: 'member',
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: true },
  input: z.strictObject({
    environment_id: environmentId,
    process_id: processId,
    input: z.string().describe('Written as it is: end a line with a newline.'),
    close: z.boolean().optional().describe('Close its input afterwards. Default false.'),
  }),
  facts: z.object({ process_id: z.string(), bytes_written: z.number().int(), closed: z.boolean() }),
  async run({ environment_id: ref, process_id: id, input, close = false }, call) {
    const process = parseProcessId(id)
    const data = Buffer.from(input, 'utf8')
    if (data.length > INPUT_BYTES) {
      throw new CoveError('payload-too-large', `input has ${data.length} bytes; at most ${INPUT_BYTES} are allowed`)
    }
    call.noted.details['process'] = id
    using lease = await guestOf(ref, call)
    await lease.guest.writeStdin(process, once(data), { close }, call.signal)
    return { facts: { process_id: id, bytes_written: data.length, closed: close } }
  },
})

export const stopProcess = defineTool({
  name: 'stop_process',
  title: 'Stop process',
  description: 'Ends a background process and everything that it has started: asks first, then forces.',
  role: 'member',
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: false },
  takesLong: true,
  input: z.strictObject({
    environment_id: environmentId,
    process_id: processId,
    grace_seconds: z.number().min(0).max(60).optional().describe('Time to end by itself after SIGTERM. Default 2.'),
  }),
  facts: z.object({ process_id: z.string(), running: z.literal(false), ...exitFacts }),
  async run({ environment_id: ref, process_id: id, grace_seconds: grace = 2 }, call) {
    const process = parseProcessId(id)
    call.noted.details['process'] = id
    using lease = await guestOf(ref, call)
    const { exit, timedOut } = await stop(lease.guest, process, grace * 1000, call.signal)
    return { facts: { process_id: id, running: false, ...toExit(exit, timedOut) } as const }
  },
})

export const listProcesses = defineTool({
  name: 'list_processes',
  title: 'List processes',
  description:
    'Lists the processes of an environment: those that run, and background processes that have ended not long ago.',
  role: 'viewer',
  annotations: { readOnlyHint: true, openWorldHint: false },
  input: z.strictObject({ environment_id: environmentId }),
  facts: z.object({ processes: z.array(processFacts), count: z.number().int() }),
  async run({ environment_id: ref }, call) {
    using lease = await guestOf(ref, call)
    const all = await lease.guest.processes(call.signal)
    const processes = all.filter(({ id, exit }) => exit === undefined || id.startsWith(BACKGROUND)).map(toFacts)
    return { facts: { processes, count: processes.length } }
  },
})

const LONGEST_COMMAND = 400

function toFacts({ id, argv, exit, timedOut, startedAt, outputTo }: ProcessInfo) {
  const command = argv[0] === 'sh' && argv[1] === '-c' ? (argv[2] ?? '') : argv.join(' ')
  return {
    process_id: id,
    command: command.length > LONGEST_COMMAND ? `${command.slice(0, LONGEST_COMMAND)}…` : command,
    running: exit === undefined,
    ...exitOf(exit, timedOut),
    started_at: new Date(startedAt).toISOString(),
    output_bytes: outputTo,
  }
}

function exitOf(exit: ProcessInfo['exit'], timedOut: boolean): { exit_code: number | null; exit: string } {
  return exit === undefined ? { exit_code: null, exit: 'runs' } : toExit(exit, timedOut)
}

async function guestOf(ref: string, call: ToolCall) {
  const { spec } = await findEnvironment(ref, call)
  return call.sandboxes.guest(call.caller, spec.id)
}

async function* once(data: Uint8Array): AsyncGenerator<Uint8Array> {
  if (data.length > 0) yield data
}
