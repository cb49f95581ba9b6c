import { Exit_Kind, OutputStream as WireStream } from '@cove/api'
import type { Exit as WireExit, Process as WireProcess, ProcessEvent as WireEvent } from '@cove/api'
import type { Exit, OutputStream, ProcessEvent } from '@cove/domain'
import type { ProcessInfo } from '../process-info.ts'
import { dateOf } from './time.ts'

export function processInfo(wire: WireProcess): ProcessInfo {
  return {
    id: wire.id,
    pid: wire.pid,
    argv: [...wire.argv],
    cwd: wire.cwd,
    user: wire.user,
    terminal: wire.terminal,
    startedAt: wire.startedAt === undefined ? new Date(0) : dateOf(wire.startedAt),
    outputFrom: Number(wire.outputFrom),
    outputTo: Number(wire.outputTo),
    ...(wire.exit === undefined ? {} : { exit: exitOf(wire.exit) }),
    timedOut: wire.timedOut,
  }
}

/** What cannot be read is `lost`: an exit is never invented. */
export function exitOf(wire: WireExit | undefined): Exit {
  switch (wire?.kind) {
    case Exit_Kind.EXITED:
      return { kind: 'exited', code: wire.code }
    case Exit_Kind.SIGNALED:
      return { kind: 'signaled', signal: wire.signal }
    case Exit_Kind.OUT_OF_MEMORY:
      return { kind: 'out-of-memory' }
    default:
      return { kind: 'lost' }
  }
}

/** Undefined for what only keeps the connection alive, and for what a newer server may add. */
export function processEvent(wire: WireEvent): ProcessEvent | undefined {
  const { event } = wire
  switch (event.case) {
    case 'output': {
      const { stream, offset, data } = event.value
      return { type: 'output', stream: streamOf(stream), offset: Number(offset), data }
    }
    case 'gap':
      return { type: 'gap', from: Number(event.value.from), to: Number(event.value.to) }
    case 'ended':
      return { type: 'exit', exit: exitOf(event.value.exit), timedOut: event.value.timedOut }
    default:
      return undefined
  }
}

function streamOf(wire: WireStream): OutputStream {
  if (wire === WireStream.STDERR) return 'stderr'
  return wire === WireStream.TERMINAL ? 'terminal' : 'stdout'
}
