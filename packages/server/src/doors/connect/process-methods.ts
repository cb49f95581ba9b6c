import type { MessageInitShape } from '@bufbuild/protobuf'
import type { ProcessEventSchema, ProcessService, RunProcessRequest, RunProcessResponseSchema } from '@cove/api'
import { CoveError, type Guest, type ProcessStream, type Random } from '@cove/domain'
import type { ServerLimits } from '../../options.ts'
import { bad } from '../../sandboxes/request.ts'
import type { Sandboxes } from '../../sandboxes/sandboxes.ts'
import type { Call, Methods } from './call.ts'
import { checkRef, parseCommand, parseProcess, parseSize } from './from-wire.ts'
import { withKeepAlive } from './keep-alive.ts'
import { OutputKeeper } from '../../output-keeper.ts'
import { toProcess, toProcessEvent } from './to-wire.ts'

const STDIN_BYTES = 1024 * 1024
const KEPT_BYTES = 4 * 1024 * 1024

type WireEvent = { event: MessageInitShape<typeof ProcessEventSchema> }

export function processMethods(
  sandboxes: Sandboxes,
  random: Random,
  limits: ServerLimits,
): Methods<typeof ProcessService> {
  async function* stream(events: AsyncIterable<WireEvent>): AsyncGenerator<WireEvent> {
    yield* withKeepAlive(events, limits.keepAliveMs, () => ({ event: { event: { case: 'keepAlive', value: {} } } }))
  }

  return {
    async *startProcess({ sandbox, command, incarnation }, { caller, signal }) {
      const request = parseCommand(command, random)
      using lease = await sandboxes.guest(caller, checkRef(sandbox), incarnation)
      yield* stream(wireEvents(await lease.guest.start(request, signal)))
    },
    async runProcess(request, call) {
      const command = parseCommand(request.command, random)
      using lease = await sandboxes.guest(call.caller, checkRef(request.sandbox), request.incarnation)
      return runProcess(lease.guest, command, request, call)
    },
    async *attachProcess({ sandbox, processId, from, incarnation }, { caller, signal }) {
      const id = parseProcess(processId)
      using lease = await sandboxes.guest(caller, checkRef(sandbox), incarnation)
      const start = from.case === 'now' ? 'now' : checkOffset(from.value ?? 0n)
      yield* stream(wireEvents(await lease.guest.attach(id, start, signal)))
    },
    async listProcesses({ sandbox }, { caller, signal }) {
      using lease = await sandboxes.guest(caller, checkRef(sandbox))
      return { processes: (await lease.guest.processes(signal)).map(toProcess) }
    },
    async writeStdin({ sandbox, processId, data, close }, { caller, signal }) {
      if (data.length > STDIN_BYTES) throw bad('data', 'is larger than 1 MiB; write in several calls')
      const id = parseProcess(processId)
      using lease = await sandboxes.guest(caller, checkRef(sandbox))
      await lease.guest.writeStdin(id, once(data), { close }, signal)
      return {}
    },
    async signalProcess({ sandbox, processId, signal: number }, { caller, signal }) {
      if (number < 1 || number > 64) throw bad('signal', 'must be 1 to 64')
      const id = parseProcess(processId)
      using lease = await sandboxes.guest(caller, checkRef(sandbox))
      await lease.guest.signal(id, number, signal)
      return {}
    },
    async resizeTerminal({ sandbox, processId, size }, { caller, signal }) {
      const id = parseProcess(processId)
      const terminal = parseSize(size, 'size')
      using lease = await sandboxes.guest(caller, checkRef(sandbox))
      await lease.guest.resize(id, terminal, signal)
      return {}
    },
  }
}

async function* wireEvents({ info, events }: ProcessStream): AsyncGenerator<WireEvent> {
  yield { event: { event: { case: 'started', value: toProcess(info) } } }
  for await (const event of events) yield { event: toProcessEvent(event) }
}

/** Starts, feeds stdin, and waits for the end. A client that goes away leaves the process running. */
async function runProcess(
  guest: Guest,
  command: ReturnType<typeof parseCommand>,
  request: RunProcessRequest,
  { signal, happened }: Call,
): Promise<MessageInitShape<typeof RunProcessResponseSchema>> {
  const { stdin, maxOutputBytes } = request
  if (stdin.length > STDIN_BYTES) throw bad('stdin', 'is larger than 1 MiB')
  if (maxOutputBytes > KEPT_BYTES) throw bad('maxOutputBytes', `must be at most ${KEPT_BYTES}`)
  const kept = maxOutputBytes === 0 ? KEPT_BYTES : maxOutputBytes
  const stdout = new OutputKeeper(kept)
  const stderr = new OutputKeeper(kept)
  const wantsStdin = stdin.length > 0
  const { info, events } = await guest.start({ ...command, stdin: wantsStdin }, signal)
  happened?.()
  const feeding = wantsStdin ? feed(guest, command.id, stdin, signal) : undefined
  for await (const event of events) {
    if (event.type === 'output') (event.stream === 'stderr' ? stderr : stdout).push(event.data)
    if (event.type !== 'exit') continue
    await feeding
    return {
      process: toProcess({ ...info, exit: event.exit, timedOut: event.timedOut }),
      stdout: stdout.bytes(),
      stderr: stderr.bytes(),
      stdoutOmitted: BigInt(stdout.omitted),
      stderrOmitted: BigInt(stderr.omitted),
    }
  }
  await feeding
  throw new CoveError('guest-unreachable', `the output of process ${info.id} broke off before its end`)
}

/** A process that ends without reading its input is no error. */
async function feed(guest: Guest, id: ReturnType<typeof parseProcess>, stdin: Uint8Array, signal: AbortSignal) {
  try {
    await guest.writeStdin(id, once(stdin), { close: true }, signal)
  } catch (error) {
    if (signal.aborted) throw error
  }
}

async function* once(data: Uint8Array): AsyncGenerator<Uint8Array> {
  if (data.length > 0) yield data
}

function checkOffset(offset: bigint): number {
  if (offset > BigInt(Number.MAX_SAFE_INTEGER)) throw bad('offset', 'is too large')
  return Number(offset)
}
