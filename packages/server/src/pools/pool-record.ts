import type { Limits, Network, Store } from '@cove/domain'
import { collection, jsonCodec, type Collection } from '@cove/store'

/** Machines that are to be made ahead, as the store has it. */
export interface PoolRecord {
  readonly name: string
  readonly project: string
  readonly template: string
  readonly driver?: string
  /** Those that were named: required. */
  readonly limits: Limits
  readonly network: Network
  /** Set by whoever may use what belongs to the node itself. */
  readonly operator?: boolean
  readonly min: number
  readonly max: number
}

/** By project and name, with a slash between them. */
export const poolRecords = (store: Store): Collection<PoolRecord> =>
  collection(store, 'pool/', jsonCodec(parsePoolRecord))

function parsePoolRecord(value: unknown): PoolRecord {
  if (typeof value !== 'object' || value === null) throw new TypeError('not an object')
  const { name, project, template, driver, limits, network, min, max, operator } = value as Readonly<
    Record<string, unknown>
  >
  if (typeof name !== 'string' || typeof project !== 'string' || typeof template !== 'string') {
    throw new TypeError('not texts')
  }
  if (typeof min !== 'number' || typeof max !== 'number') throw new TypeError('not numbers')
  if (typeof limits !== 'object' || limits === null) throw new TypeError('no limits')
  if (typeof network !== 'object' || network === null) throw new TypeError('no network')
  return {
    name,
    project,
    template,
    ...(typeof driver === 'string' ? { driver } : {}),
    limits,
    network: network as Network,
    ...(operator === true ? { operator } : {}),
    min,
    max,
  }
}
