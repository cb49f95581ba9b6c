import type { DiskId, Driver, Machine } from '@cove/domain'
import type { Ground } from '../ground.ts'
import type { GuestSession } from '../guest-session.ts'

/** A machine that runs and has answered, and that belongs to no sandbox yet. */
export interface WarmMachine {
  readonly driver: Driver
  readonly machine: Machine
  /** Already open. */
  readonly session: GuestSession
  readonly disk?: DiskId
  /** Held for as long as nobody else holds what the machine stands on. */
  readonly ground: Ground
  readonly token: Uint8Array
  /** It goes on from a template's memory: what is to run in it runs already. */
  readonly awake: boolean
  /** Of what it satisfies. What a pool's words mean may change between one machine and the next. */
  readonly key: string
}

/** What makes two machines the same to whoever gets one of them. */
export interface Demand {
  readonly driver: string
  /** `host`, or the id of an image. */
  readonly ground: string
  /** The saved memory that its machine goes on from. */
  readonly memory?: string
  readonly limits: object
  readonly network: object
}

/** Equal for equal demands, whatever the order of their fields. */
export function demandKey({ driver, ground, memory = '', limits, network }: Demand): string {
  return JSON.stringify([driver, ground, memory, sorted(limits), sorted(network)])
}

function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.entries(value)
    .filter(([, inner]) => inner !== undefined)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, inner]) => [key, sorted(inner)])
}
