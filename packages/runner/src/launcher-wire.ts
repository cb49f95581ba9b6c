import { CoveError, type Exit } from '@cove/domain'
import { Fields } from '@cove/frames'
import type { HostProcessState } from './host-process.ts'

/** Numbers of the operations, as in `docs/launcher-protocol.md`. */
export const OPERATION = {
  start: 1,
  list: 2,
  get: 3,
  destroy: 4,
  signal: 5,
  output: 6,
  initPid: 7,
  watch: 8,
  stop: 9,
  pipesOpen: 10,
  living: 11,
  sweep: 12,
  hostname: 13,
} as const

/** What the launcher says about one host process. */
export interface WireEntry {
  readonly id: string
  readonly state: HostProcessState
  readonly pid: number
  readonly startTime: number
  readonly note: string
  readonly cgroupProblems: readonly string[]
  readonly exit: Exit | undefined
}

export function readEntry(fields: Fields): WireEntry {
  const exit = readExit(fields)
  return {
    id: fields.needText(1),
    state: readState(fields.needNumber(2)),
    pid: fields.needNumber(3),
    startTime: fields.needNumber(4),
    note: fields.text(5) ?? '',
    cgroupProblems: fields.allTexts(6),
    exit,
  }
}

export function readExit(fields: Fields): Exit | undefined {
  const value = fields.number(8) ?? 0
  switch (fields.number(7)) {
    case undefined:
      return undefined
    case 1:
      return { kind: 'exited', code: value }
    case 2:
      return { kind: 'signaled', signal: value }
    default:
      return { kind: 'lost' }
  }
}

/** The error in the payload of a `CLOSE`, if there is one. */
export function readClose(payload: Buffer): CoveError | undefined {
  const fields = new Fields(payload)
  const code = fields.text(1)
  if (code === undefined) return undefined
  const errno = fields.number(3) ?? 0
  return CoveError.fromWire(code, fields.text(2) ?? code, errno === 0 ? {} : { errno })
}

function readState(state: number): HostProcessState {
  switch (state) {
    case 1:
      return 'partial'
    case 2:
      return 'running'
    default:
      return 'exited'
  }
}
