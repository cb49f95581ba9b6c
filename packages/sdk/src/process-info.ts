import type { Exit } from '@cove/domain'

/** A process as it was when the server was last asked. */
export interface ProcessInfo {
  readonly id: string
  /** Inside the sandbox. */
  readonly pid: number
  readonly argv: readonly string[]
  readonly cwd: string
  readonly user: string
  readonly terminal: boolean
  readonly startedAt: Date
  /** First output offset that is still held, and the offset after the last byte. */
  readonly outputFrom: number
  readonly outputTo: number
  /** Absent while it runs. */
  readonly exit?: Exit
  readonly timedOut: boolean
}
