import type { Duration, Timestamp } from '@bufbuild/protobuf/wkt'
import type { Timeout as WireTimeout } from '@cove/api'
import type { Timeout } from '@cove/domain'

/** The parts of a message that matter when it is made; `create` fills in the rest. */
export interface DurationInit {
  readonly seconds: bigint
  readonly nanos: number
}

export function durationOf(ms: number): DurationInit {
  const whole = Math.trunc(ms / 1000)
  return { seconds: BigInt(whole), nanos: Math.round((ms - whole * 1000) * 1_000_000) }
}

export function dateOf(timestamp: Timestamp): Date {
  return new Date(Number(timestamp.seconds) * 1000 + Math.trunc(timestamp.nanos / 1_000_000))
}

export function timestampOf(date: Date): DurationInit {
  const seconds = Math.floor(date.getTime() / 1000)
  return { seconds: BigInt(seconds), nanos: (date.getTime() - seconds * 1000) * 1_000_000 }
}

export function timeoutInit(timeout: Timeout) {
  return timeout === 'never'
    ? { value: { case: 'never' as const, value: true } }
    : { value: { case: 'after' as const, value: durationOf(timeout) } }
}

/** A timeout that the server left out is one that it does not have. */
export function timeoutOf(timeout: WireTimeout | undefined): Timeout {
  if (timeout?.value.case !== 'after') return 'never'
  return millisecondsOf(timeout.value.value)
}

export function millisecondsOf(duration: Duration): number {
  return Number(duration.seconds) * 1000 + duration.nanos / 1_000_000
}
