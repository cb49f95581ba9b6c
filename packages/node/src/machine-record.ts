import {
  CoveError,
  isIsolation,
  parseDiskId,
  parseImageId,
  parseMachineId,
  parseSandboxId,
  parseSnapshotId,
  parseVolumeId,
  type DiskId,
  type Exit,
  type ImageId,
  type Isolation,
  type LimitReport,
  type MachineId,
  type SandboxId,
  type SnapshotId,
  type VolumeId,
} from '@cove/domain'

interface RecordBase {
  readonly sandbox: SandboxId
  readonly incarnation: number
  readonly machine: MachineId
  readonly driver: string
  readonly isolation: Isolation
  /** Absent when the driver keeps no disks. */
  readonly disk?: DiskId
  /** What it stands on; absent: the host. Stays in use as long as the record is there. */
  readonly image?: ImageId
  /** Those that it has mounted. */
  readonly volumes?: readonly VolumeId[]
  readonly limits: readonly LimitReport[]
}

/** `creating` was never acknowledged; `running` may have been. */
export interface LiveRecord extends RecordBase {
  readonly state: 'creating' | 'running'
  /** What the guest agent was bound to. Secret. */
  readonly token: Uint8Array
  /** It is frozen, or about to be. */
  readonly paused?: true
  /**
   * It is saved in this memory snapshot of its own, which has everything: what is still there of its machine and its disk
   * may go.
   */
  readonly suspended?: SnapshotId
  /** Made ahead and taken from a pool. */
  readonly pooled?: true
  /** What holds again when this create fails. */
  readonly previous?: EndedRecord
}

export interface EndedRecord extends RecordBase {
  /** `stopped` was asked for, `ended` was not. */
  readonly state: 'stopped' | 'ended'
  readonly exit: Exit
}

/** What a node knows of the newest machine of one sandbox; one value in `node.db`. */
export type MachineRecord = LiveRecord | EndedRecord

export const isLiveRecord = (record: MachineRecord): record is LiveRecord =>
  record.state === 'creating' || record.state === 'running'

export const isEndedRecord = (record: MachineRecord): record is EndedRecord => !isLiveRecord(record)

/** The record after the machine has ended: the token goes, the disk stays. */
export function endRecord(record: MachineRecord, state: EndedRecord['state'], exit: Exit): EndedRecord {
  return { ...base(record), state, exit }
}

const VERSION = 1

export function encodeRecord(record: MachineRecord): Uint8Array {
  return Buffer.from(JSON.stringify({ v: VERSION, ...plain(record) }))
}

function plain(record: MachineRecord): object {
  if (isEndedRecord(record)) return { ...base(record), state: record.state, exit: record.exit }
  return {
    ...base(record),
    state: record.state,
    token: Buffer.from(record.token).toString('base64'),
    ...(record.paused === true ? { paused: true } : {}),
    ...(record.suspended === undefined ? {} : { suspended: record.suspended }),
    ...(record.pooled === true ? { pooled: true } : {}),
    ...(record.previous === undefined ? {} : { previous: plain(record.previous) }),
  }
}

function base(record: MachineRecord): RecordBase {
  return {
    sandbox: record.sandbox,
    incarnation: record.incarnation,
    machine: record.machine,
    driver: record.driver,
    isolation: record.isolation,
    ...(record.disk === undefined ? {} : { disk: record.disk }),
    ...(record.image === undefined ? {} : { image: record.image }),
    ...(record.volumes === undefined ? {} : { volumes: record.volumes }),
    limits: record.limits,
  }
}

/** `store-too-new` for a later version's record, `store-corrupt` for anything else that does not fit. */
export function decodeRecord(key: string, value: Uint8Array): MachineRecord {
  let fields: Fields
  try {
    fields = object(JSON.parse(Buffer.from(value).toString('utf8')))
  } catch (cause) {
    throw corrupt(key, cause)
  }
  if (typeof fields['v'] === 'number' && fields['v'] > VERSION) {
    throw new CoveError('store-too-new', `the record ${key} was written by a later version of Cove`, { key })
  }
  try {
    return readRecord(fields)
  } catch (cause) {
    throw corrupt(key, cause)
  }
}

type Fields = Readonly<Record<string, unknown>>

function readRecord(fields: Fields): MachineRecord {
  const state = text(fields['state'])
  if (state === 'stopped' || state === 'ended') return readEnded(fields, state)
  if (state !== 'creating' && state !== 'running') throw new TypeError('unknown state')
  const previous = fields['previous'] === undefined ? undefined : readRecord(object(fields['previous']))
  if (previous !== undefined && isLiveRecord(previous)) throw new TypeError('a live machine cannot be the previous one')
  return {
    ...readBase(fields),
    state,
    token: Buffer.from(text(fields['token']), 'base64'),
    ...(fields['paused'] === true ? { paused: true } : {}),
    ...(fields['suspended'] === undefined ? {} : { suspended: parseSnapshotId(text(fields['suspended'])) }),
    ...(fields['pooled'] === true ? { pooled: true } : {}),
    ...(previous === undefined ? {} : { previous }),
  }
}

function readEnded(fields: Fields, state: EndedRecord['state']): EndedRecord {
  return { ...readBase(fields), state, exit: readExit(object(fields['exit'])) }
}

function readBase(fields: Fields): RecordBase {
  const isolation = text(fields['isolation'])
  if (!isIsolation(isolation)) throw new TypeError('unknown isolation')
  if (!Array.isArray(fields['limits'])) throw new TypeError('limits are not a list')
  return {
    sandbox: parseSandboxId(text(fields['sandbox'])),
    incarnation: number(fields['incarnation']),
    machine: parseMachineId(text(fields['machine'])),
    driver: text(fields['driver']),
    isolation,
    ...(fields['disk'] === undefined ? {} : { disk: parseDiskId(text(fields['disk'])) }),
    ...(fields['image'] === undefined ? {} : { image: parseImageId(text(fields['image'])) }),
    ...(Array.isArray(fields['volumes'])
      ? { volumes: fields['volumes'].map((id: unknown) => parseVolumeId(text(id))) }
      : {}),
    limits: fields['limits'].map((limit: unknown) => readLimit(object(limit))),
  }
}

function readLimit(fields: Fields): LimitReport {
  const name = text(fields['name'])
  if (name !== 'memoryBytes' && name !== 'cpus' && name !== 'processes' && name !== 'diskBytes') {
    throw new TypeError('unknown limit')
  }
  return {
    name,
    value: number(fields['value']),
    enforced: fields['enforced'] === true,
    ...(fields['reason'] === undefined ? {} : { reason: text(fields['reason']) }),
  }
}

function readExit(fields: Fields): Exit {
  switch (fields['kind']) {
    case 'exited':
      return { kind: 'exited', code: number(fields['code']) }
    case 'signaled':
      return { kind: 'signaled', signal: number(fields['signal']) }
    case 'out-of-memory':
      return { kind: 'out-of-memory' }
    case 'lost':
      return { kind: 'lost' }
    default:
      throw new TypeError('unknown exit')
  }
}

function object(value: unknown): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new TypeError('not an object')
  return value as Fields
}

function text(value: unknown): string {
  if (typeof value !== 'string') throw new TypeError('not a text')
  return value
}

function number(value: unknown): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw new TypeError('not a number')
  return value
}

function corrupt(key: string, cause: unknown): CoveError {
  return new CoveError('store-corrupt', `the record ${key} cannot be read`, { key }, { cause })
}
