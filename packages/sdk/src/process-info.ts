import type { Exit } from '@cove/domain'

/** A process as it was when the server was last asked. */
export interface ProcessInfo {
  /** What the process is called by in every call. */
  readonly id: string
  /** Inside the sandbox. */
  readonly pid: number
  /** Program and arguments. */
  readonly argv: readonly string[]
  readonly cwd: string
  readonly user: string
  /** True with a terminal in place of pipes. */
  readonly terminal: boolean
  readonly startedAt: Date
  /** First output offset that is still held, and the offset after the last byte. */
  readonly outputFrom: number
  readonly outputTo: number
  /** Absent while it runs. */
  readonly exit?: Exit
  /** True when its time limit ended it. */
  readonly timedOut: boolean
}
