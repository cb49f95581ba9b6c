import {
  CoveError,
  SANDBOX_STATES,
  type Sandbox,
  type SandboxId,
  type SandboxSpec,
  type SandboxStatus,
} from '@cove/domain'

/** What the spec key holds: what was asked for, and which reservations belong to it. */
export interface SpecRecord {
  readonly spec: SandboxSpec
  /** Its place in the project's quota while it is live. */
  readonly slot: number
  /** Digest of the idempotency key that made it, when there was one. */
  readonly idempotency?: string
}

export interface IdempotencyRecord {
  readonly requestHash: string
  readonly sandbox: SandboxId
  /** Unix milliseconds. */
  readonly expiresAt: number
}

/** What a slot or a name holds: whose it is. */
export interface ReservationRecord {
  readonly sandbox: SandboxId
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()

export function encodeRecord(
  record: SpecRecord | SandboxStatus | Sandbox | IdempotencyRecord | ReservationRecord,
): Uint8Array {
  return encoder.encode(JSON.stringify(record))
}

export function decodeSpec(key: string, value: Uint8Array): SpecRecord {
  const record = parse(key, value, isSpecRecord)
  return { ...record, spec: completed(record.spec) }
}
export const decodeStatus = (key: string, value: Uint8Array): SandboxStatus => parse(key, value, isStatus)
export function decodeTombstone(key: string, value: Uint8Array): Sandbox {
  const { spec, status } = parse(key, value, isSandbox)
  return { spec: completed(spec), status }
}
export const decodeIdempotency = (key: string, value: Uint8Array): IdempotencyRecord =>
  parse(key, value, isIdempotencyRecord)
export const decodeReservation = (key: string, value: Uint8Array): ReservationRecord => parse(key, value, isReservation)

/** Records that are older than images and volumes name neither. */
function completed(spec: SandboxSpec): SandboxSpec {
  const { from, volumes }: Partial<SandboxSpec> = spec
  return { ...spec, from: from ?? { kind: 'host' }, volumes: volumes ?? [] }
}

function parse<Kind>(key: string, value: Uint8Array, guard: (record: unknown) => record is Kind): Kind {
  let record: unknown
  try {
    record = JSON.parse(decoder.decode(value))
  } catch (error) {
    throw new CoveError('store-corrupt', `the record ${key} cannot be read`, { key }, { cause: error })
  }
  if (!guard(record)) throw new CoveError('store-corrupt', `the record ${key} is not what it should be`, { key })
  return record
}

type Json = Readonly<Record<string, unknown>>

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isSpec(value: unknown): value is SandboxSpec {
  return (
    isObject(value) &&
    typeof value['id'] === 'string' &&
    typeof value['project'] === 'string' &&
    typeof value['createdAt'] === 'number' &&
    isObject(value['labels']) &&
    isObject(value['limits'])
  )
}

function isStatus(value: unknown): value is SandboxStatus {
  return (
    isObject(value) &&
    SANDBOX_STATES.some((state) => state === value['state']) &&
    Number.isInteger(value['incarnation']) &&
    typeof value['changedAt'] === 'number' &&
    Array.isArray(value['limits'])
  )
}

function isSpecRecord(value: unknown): value is SpecRecord {
  return isObject(value) && isSpec(value['spec']) && Number.isInteger(value['slot'])
}

function isSandbox(value: unknown): value is Sandbox {
  return isObject(value) && isSpec(value['spec']) && isStatus(value['status'])
}

function isIdempotencyRecord(value: unknown): value is IdempotencyRecord {
  return (
    isObject(value) &&
    typeof value['requestHash'] === 'string' &&
    typeof value['sandbox'] === 'string' &&
    typeof value['expiresAt'] === 'number'
  )
}

function isReservation(value: unknown): value is ReservationRecord {
  return isObject(value) && typeof value['sandbox'] === 'string'
}
