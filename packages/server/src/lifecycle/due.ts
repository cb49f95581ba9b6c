import type { EndReason, Sandbox } from '@cove/domain'

interface Moment {
  readonly now: number
  /** Milliseconds since the last activity. */
  readonly idleFor: number
  /** Milliseconds that a failed sandbox is kept. */
  readonly failedMs: number
}

/** After so long a removal is taken up by whoever sees it; before that it may be another server's work in hand. */
const CUT_OFF_MS = 30_000

/** When a sandbox has to be ended if nothing happens until then; undefined for never. */
export function nextDue({ spec, status }: Sandbox, { now, idleFor, failedMs }: Moment): number | undefined {
  switch (status.state) {
    case 'deleted':
      return undefined
    case 'deleting':
      // Whoever began the removal was cut off.
      return status.changedAt + CUT_OFF_MS
    case 'failed':
      return status.changedAt + failedMs
    case 'running': {
      const idle = spec.idleTimeout === 'never' ? Infinity : now + spec.idleTimeout - idleFor
      const due = Math.min(idle, status.deadline ?? Infinity)
      return Number.isFinite(due) ? due : undefined
    }
    case 'pausing':
    case 'paused':
    case 'resuming':
      return status.burnsWhilePaused === true ? status.deadline : undefined
    default:
      // Without a machine that runs there is nothing that could be idle; the lifetime goes on.
      return status.deadline
  }
}

/** The reason of an end that is due now. */
export function whyEnded({ spec, status }: Sandbox, now: number): { reason: EndReason; message: string } {
  if (status.deadline !== undefined && status.deadline <= now) {
    return { reason: 'deadline', message: 'its lifetime was over' }
  }
  if (status.state === 'failed' || status.state === 'deleting') {
    return { reason: status.reason ?? 'deleted', message: status.message ?? 'it was deleted' }
  }
  const ms = spec.idleTimeout === 'never' ? 0 : spec.idleTimeout
  return { reason: 'idle', message: `nobody used it for ${describeMs(ms)}` }
}

function describeMs(ms: number): string {
  if (ms < 1_000) return `${ms} ms`
  if (ms < 120_000) return `${Math.round(ms / 1_000)} s`
  return `${Math.round(ms / 60_000)} min`
}
