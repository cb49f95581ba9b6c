import { parseVolumeId, type VolumeId } from '@cove/domain'
import { jsonCodec, type Codec } from '@cove/store'

/** One volume as `node.db` has it. */
export interface VolumeRecord {
  readonly id: VolumeId
  /** Absent: as much as the disk has. */
  readonly size?: { readonly value: number; readonly required: boolean; readonly enforced: boolean }
  /** `making` was never acknowledged; `removing` is to go. */
  readonly state: 'making' | 'ready' | 'removing'
}

export const volumeRecordCodec: Codec<VolumeRecord> = jsonCodec((value) => {
  if (typeof value !== 'object' || value === null) throw new TypeError('not an object')
  const { id, size, state } = value as Readonly<Record<string, unknown>>
  if (typeof id !== 'string') throw new TypeError('no id')
  if (state !== 'making' && state !== 'ready' && state !== 'removing') throw new TypeError('unknown state')
  return { id: parseVolumeId(id), state, ...(size === undefined ? {} : { size: parseSize(size) }) }
})

function parseSize(value: unknown): NonNullable<VolumeRecord['size']> {
  if (typeof value !== 'object' || value === null) throw new TypeError('no size')
  const { value: bytes, required, enforced } = value as Readonly<Record<string, unknown>>
  if (typeof bytes !== 'number') throw new TypeError('no size')
  return { value: bytes, required: required === true, enforced: enforced === true }
}
