import { parseVolumeId, type VolumeId } from '@cove/domain'

/** One volume as the store has it. */
export interface VolumeRecord {
  readonly id: VolumeId
  readonly project: string
  readonly name: string
  /** Absent: as much as the disk has. */
  readonly sizeBytes?: number
  readonly enforced: boolean
  /** Sandboxes only read it. */
  readonly readOnly: boolean
  /** The volume whose content it got. */
  readonly source?: VolumeId
  /** Unix milliseconds. */
  readonly createdAt: number
  readonly labels: Readonly<Record<string, string>>
  readonly node: string
  /** `making` has not been acknowledged, and is removed when nobody brings it to an end. */
  readonly state: 'making' | 'ready' | 'deleting'
}

export function parseVolumeRecord(value: unknown): VolumeRecord {
  if (typeof value !== 'object' || value === null) throw new TypeError('not an object')
  const fields = value as Readonly<Record<string, unknown>>
  const { id, project, name, sizeBytes, source, createdAt, labels, node, state } = fields
  if (typeof id !== 'string' || typeof project !== 'string' || typeof name !== 'string' || typeof node !== 'string') {
    throw new TypeError('not texts')
  }
  if (state !== 'making' && state !== 'ready' && state !== 'deleting') throw new TypeError('unknown state')
  if (typeof createdAt !== 'number') throw new TypeError('no time')
  return {
    id: parseVolumeId(id),
    project,
    name,
    ...(typeof sizeBytes === 'number' ? { sizeBytes } : {}),
    enforced: fields['enforced'] === true,
    readOnly: fields['readOnly'] === true,
    ...(typeof source === 'string' ? { source: parseVolumeId(source) } : {}),
    createdAt,
    labels: typeof labels === 'object' && labels !== null ? (labels as Readonly<Record<string, string>>) : {},
    node,
    state,
  }
}
