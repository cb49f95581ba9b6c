import { CoveError } from './errors/cove-error.ts'

/** Every state of a sandbox's life, in its order. */
export const SANDBOX_STATES = [
  'pending',
  'creating',
  'running',
  'pausing',
  'paused',
  'resuming',
  'stopping',
  'stopped',
  'lost',
  'failed',
  'deleting',
  'deleted',
] as const
/** What a sandbox is doing now. */
export type SandboxState = (typeof SANDBOX_STATES)[number]

/** Why a sandbox ended, kept with it and told to whoever asks. */
export const END_REASONS = [
  'deleted',
  'idle',
  'deadline',
  'crashed',
  'out-of-memory',
  'node-lost',
  'create-failed',
] as const
/** Why a sandbox ended. */
export type EndReason = (typeof END_REASONS)[number]

/**
 * The whole life of a sandbox. Every state but `deleted` leads to `deleting`: no state is a dead end. `creating` may
 * fall back to `stopped`, so that a start that fails (no capacity, say) does not cost the sandbox its disk.
 */
export const TRANSITIONS: Readonly<Record<SandboxState, readonly SandboxState[]>> = {
  pending: ['creating', 'failed', 'deleting'],
  creating: ['running', 'stopped', 'failed', 'deleting'],
  running: ['pausing', 'stopping', 'lost', 'failed', 'deleting'],
  pausing: ['paused', 'running', 'lost', 'failed', 'deleting'],
  paused: ['resuming', 'lost', 'failed', 'deleting'],
  resuming: ['running', 'paused', 'lost', 'failed', 'deleting'],
  stopping: ['stopped', 'failed', 'deleting'],
  stopped: ['creating', 'failed', 'deleting'],
  lost: ['running', 'creating', 'failed', 'deleting'],
  failed: ['deleting'],
  deleting: ['deleted'],
  deleted: [],
}

/** States in which the sandbox holds a place in its project's quota. */
export function isLive(state: SandboxState): boolean {
  return state !== 'failed' && state !== 'deleting' && state !== 'deleted'
}

export function assertTransition(from: SandboxState, to: SandboxState): void {
  if (!TRANSITIONS[from].includes(to)) {
    throw new CoveError('wrong-state', `a sandbox cannot go from ${from} to ${to}`, { from, to })
  }
}
