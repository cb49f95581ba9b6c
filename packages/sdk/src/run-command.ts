import { ProcessService } from '@cove/api'
import { CoveError, type OutputStream } from '@cove/domain'
import { commandInit, type CommandOptions } from './command.ts'
import { exitOf } from './convert/process.ts'
import { HeadAndTail } from './head-and-tail.ts'
import { InputFeed } from './input-feed.ts'
import { Process } from './process.ts'
import { RunResult } from './run-result.ts'
import type { Rpc } from './wire/rpc.ts'

/** How a command is run to its end. */
export interface RunOptions extends CommandOptions {
  /** Given to the command as its whole input. Default: empty. */
  readonly stdin?: string | Uint8Array | AsyncIterable<Uint8Array>
  /** Bytes kept of each stream, half of it from its head and half from its tail. Default and maximum: 4 MiB. */
  readonly maxOutputBytes?: number
  /** Called with output as it comes. Its promise holds the command back until it resolves. */
  readonly onOutput?: (stream: OutputStream, data: Uint8Array) => void | Promise<void>
}

const MAX_OUTPUT_BYTES = 4 * 1024 * 1024
/** The longest input that travels with the call itself. */
const INLINE_STDIN_BYTES = 1024 * 1024
/** For ending a command whose caller has gone. */
const CLEAN_UP_MS = 5000

/**
 * Runs a command to its end. A short call in one exchange where that is enough; as a stream when the caller wants to
 * see output come, or sends more than the call itself can carry. A cancelled run ends its command.
 */
export async function runCommand(
  rpc: Rpc,
  sandbox: string,
  id: string,
  argv: readonly string[],
  options: RunOptions,
): Promise<RunResult> {
  const input = typeof options.stdin === 'string' ? new TextEncoder().encode(options.stdin) : options.stdin
  const inline = input === undefined || (input instanceof Uint8Array && input.byteLength <= INLINE_STDIN_BYTES)
  try {
    if (inline && options.onOutput === undefined) return await runInOneCall(rpc, sandbox, id, argv, options, input)
    return await runStreamed(rpc, sandbox, id, argv, options, input, false)
  } catch (thrown) {
    if (options.signal?.aborted === true) await end(rpc, sandbox, id)
    throw thrown
  }
}

async function runInOneCall(
  rpc: Rpc,
  sandbox: string,
  id: string,
  argv: readonly string[],
  options: RunOptions,
  input: Uint8Array | undefined,
): Promise<RunResult> {
  const call = options.signal === undefined ? {} : { signal: options.signal }
  try {
    const answer = await rpc.unary(
      ProcessService.method.runProcess,
      {
        sandbox,
        command: { ...commandInit(argv, options, { stdin: input !== undefined }), processId: id },
        incarnation: options.incarnation ?? 0,
        stdin: input ?? new Uint8Array(),
        maxOutputBytes: options.maxOutputBytes ?? 0,
      },
      call,
    )
    return new RunResult(
      exitOf(answer.process?.exit),
      answer.process?.timedOut ?? false,
      { bytes: answer.stdout, omitted: Number(answer.stdoutOmitted) },
      { bytes: answer.stderr, omitted: Number(answer.stderrOmitted) },
    )
  } catch (thrown) {
    // The command goes on in the sandbox: its output is still to be had there. How much of its input arrived is not.
    const lost = thrown instanceof CoveError && thrown.code === 'connection-lost' && input === undefined
    if (!lost) throw thrown
    return runStreamed(rpc, sandbox, id, argv, options, undefined, true)
  }
}

async function runStreamed(
  rpc: Rpc,
  sandbox: string,
  id: string,
  argv: readonly string[],
  options: RunOptions,
  input: Uint8Array | AsyncIterable<Uint8Array> | undefined,
  maybeStarted: boolean,
): Promise<RunResult> {
  const command = commandInit(argv, options, { stdin: input !== undefined })
  const source = { sandbox, id, incarnation: options.incarnation ?? 0, command, from: 0, maybeStarted }
  const process = await Process.open(rpc, source, options.signal)
  const call = options.signal === undefined ? {} : { signal: options.signal }
  // Without its input it may wait for ever: then the handle is let go, and the loop below ends.
  const feed = input === undefined ? undefined : new InputFeed(process, input, call, () => process.detach())
  try {
    const limit = Math.min(options.maxOutputBytes ?? MAX_OUTPUT_BYTES, MAX_OUTPUT_BYTES)
    const stdout = new HeadAndTail(limit)
    const stderr = new HeadAndTail(limit)
    const events = process.events()
    for await (const event of events) {
      if (event.type === 'gap') {
        stdout.skip(event.to - event.from)
      } else if (event.type === 'output') {
        ;(event.stream === 'stderr' ? stderr : stdout).push(event.data)
        await options.onOutput?.(event.stream, event.data)
      }
    }
    const { exit, timedOut } = await process.wait()
    return new RunResult(exit, timedOut, stdout.result(), stderr.result())
  } catch (thrown) {
    await end(rpc, sandbox, id)
    throw feed?.failure === undefined ? thrown : feed.failure.thrown
  } finally {
    feed?.stop()
    process.detach()
  }
}

async function end(rpc: Rpc, sandbox: string, processId: string): Promise<void> {
  const request = { sandbox, processId, signal: 9 }
  await rpc.unary(ProcessService.method.signalProcess, request, { timeoutMs: CLEAN_UP_MS }).catch(() => {})
}
