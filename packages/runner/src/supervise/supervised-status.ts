import type { ErrorCode, Exit } from '@cove/domain'

/**
 * - `starting`: its environment is made ready, or it is being started.
 * - `running`: it runs.
 * - `waiting`: it has ended and is started again after a while.
 * - `stopping`: it was asked to end.
 *
 * And for good:
 * - `stopped`: because somebody wanted it.
 * - `exited`: by itself, and its policy wants no further start.
 * - `failed`: it could not be started, did not become ready, or has ended too often.
 */
export type SupervisedPhase = 'starting' | 'running' | 'waiting' | 'stopping' | 'stopped' | 'exited' | 'failed'

export interface SupervisedStatus {
  readonly phase: SupervisedPhase
  /** Of the phase, Unix milliseconds. */
  readonly since: number
  /** Undefined where nothing says when it is ready. */
  readonly ready: boolean | undefined
  readonly pid: number | undefined
  /** How many runs were begun, by itself or because somebody asked. */
  readonly runs: number
  /** How often it was started again by itself. */
  readonly restarts: number
  /** How its last run has ended. */
  readonly exit: Exit | undefined
  /** In words: why it failed, what is waited for, or what is done to get it started. */
  readonly reason: string | undefined
  /** For programs: why it failed, `deadline-exceeded` when it was not ready in time. */
  readonly code: ErrorCode | undefined
}

export function isOver({ phase }: Pick<SupervisedStatus, 'phase'>): boolean {
  return phase === 'stopped' || phase === 'exited' || phase === 'failed'
}
