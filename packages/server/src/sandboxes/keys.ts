import type { SandboxId } from '@cove/domain'

/**
 * Where the records of sandboxes are. Spec, status and reservation are separate keys: the spec is written by
 * whoever creates or changes timeouts, the status by whoever moves the sandbox through its life, and the
 * reservation (slot, name) by the transaction that makes the sandbox live or ends that.
 */
export const SANDBOX_PREFIX = 'sandbox/'

const SPEC = 'sandbox/spec/'
const STATUS = 'sandbox/status/'
const TOMBSTONE = 'sandbox/tombstone/'
const IDEMPOTENCY = 'sandbox/idempotency/'

export const specKey = (id: SandboxId): string => SPEC + id
export const statusKey = (id: SandboxId): string => STATUS + id
export const tombstoneKey = (id: SandboxId): string => TOMBSTONE + id
/** One place in the project's quota. There are as many slots as the limit, so the limit holds exactly. */
export const slotKey = (project: string, slot: number): string => `sandbox/slot/${project}/${slot}`
export const nameKey = (project: string, name: string): string => `sandbox/name/${project}/${name}`
/** `digest` is a hash of the client's key, so that the record's key has a bounded length and alphabet. */
export const idempotencyKey = (project: string, digest: string): string => `${IDEMPOTENCY}${project}/${digest}`

export type KeyKind = 'spec' | 'status' | 'tombstone' | 'idempotency'

/** What a key under the prefix is about; undefined for reservations, which only transactions look at. */
export function kindOfKey(key: string): { readonly kind: KeyKind; readonly rest: string } | undefined {
  if (key.startsWith(SPEC)) return { kind: 'spec', rest: key.slice(SPEC.length) }
  if (key.startsWith(STATUS)) return { kind: 'status', rest: key.slice(STATUS.length) }
  if (key.startsWith(TOMBSTONE)) return { kind: 'tombstone', rest: key.slice(TOMBSTONE.length) }
  if (key.startsWith(IDEMPOTENCY)) return { kind: 'idempotency', rest: key.slice(IDEMPOTENCY.length) }
  return undefined
}
