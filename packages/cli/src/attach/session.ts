import { formatDuration } from '@cove/domain'
import { shellStatus, type Process, type ProcessEnd } from '@cove/sdk'
import { STATUS } from '../exit-status.ts'
import type { Io } from '../io.ts'
import { writeError, writeWarning } from '../render/error.ts'
import type { Interrupts } from './interrupts.ts'
import { OutputClosed } from './output-closed.ts'
import { Sink } from './sink.ts'
import { forwardStdin } from './stdin.ts'
import { handOverTerminal } from './terminal.ts'

interface SessionOptions {
  readonly stdin: boolean
  readonly terminal: boolean
  readonly interrupts: Interrupts
  readonly timeoutMs?: number | undefined
}

/** Connects this program's stdin, stdout, stderr and signals to a process until it ends; answers with its status. */
export async function session(process: Process, io: Io, options: SessionOptions): Promise<number> {
  const { interrupts } = options
  using stdout = new Sink(io.stdout)
  using stderr = new Sink(io.stderr)
  let end: ProcessEnd | undefined
  {
    using _terminal = options.terminal ? handOverTerminal(io, process) : undefined
    const events = process.events()
    using _stdin = options.stdin ? forwardStdin(io, process) : undefined
    using _end = options.terminal && io.stdinIsEmpty === true ? endInput(process) : undefined
    interrupts.passTo(process)
    const giveUp = () => process.detach()
    interrupts.abandon.addEventListener('abort', giveUp, { once: true })
    try {
      for await (const event of events) {
        if (event.type === 'output') await (event.stream === 'stderr' ? stderr : stdout).write(event.data)
        if (event.type === 'gap') writeWarning(io, `${event.to - event.from} bytes of output were lost`)
        if (event.type === 'exit') end = event
      }
    } catch (thrown) {
      if (interrupts.abandon.aborted) return interrupts.status ?? STATUS.failure
      if (!(thrown instanceof OutputClosed)) throw thrown
      await process.kill({ timeoutMs: 5000 })
      return OutputClosed.status
    } finally {
      interrupts.abandon.removeEventListener('abort', giveUp)
      interrupts.processEnded()
    }
  }
  return end === undefined ? STATUS.failure : report(end, io, options.timeoutMs)
}

/** Milliseconds between one end of input and the next. */
const END_AGAIN_MS = 1_000

/**
 * A shell in a terminal whose input never comes and never ends would wait forever. One that is just starting loses what
 * has come before it takes the terminal over, so it is told until it ends. Dispose to stop.
 */
function endInput(process: Process): Disposable {
  const end = (): void => {
    // One that has ended already has no input to end.
    process.closeStdin().catch(() => undefined)
  }
  end()
  const again = setInterval(end, END_AGAIN_MS)
  return { [Symbol.dispose]: () => clearInterval(again) }
}

/** Says what a status alone cannot say. */
function report({ exit, timedOut }: ProcessEnd, io: Io, timeoutMs: number | undefined): number {
  if (timedOut) {
    const after = timeoutMs === undefined ? 'its time limit' : formatDuration(timeoutMs)
    writeError(io, `the command ran longer than ${after} and was ended`, 'Give it more time with --timeout.')
    return STATUS.timedOut
  }
  if (exit.kind === 'out-of-memory') {
    writeError(io, 'the command ran out of memory and was ended', 'Give the sandbox more with --limit-memory.')
  }
  if (exit.kind === 'lost') {
    writeError(io, 'the command ended and nobody saw how', 'Look with `cove get` what became of the sandbox.')
  }
  return shellStatus(exit)
}
