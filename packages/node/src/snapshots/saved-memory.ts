import { parseImageId, parseSnapshotId, type ImageId, type SnapshotId } from '@cove/domain'
import { jsonCodec, type Codec } from '@cove/store'

/** One memory snapshot as `node.db` has it. */
export interface SavedMemory {
  readonly id: SnapshotId
  readonly driver: string
  /** What its machine stood on; absent: the host. */
  readonly image?: ImageId
  /** What its guest agent is bound to. Secret. */
  readonly token: Uint8Array
}

export const savedMemoryCodec: Codec<SavedMemory> = {
  encode: ({ token, ...rest }) =>
    Buffer.from(JSON.stringify({ v: 1, ...rest, token: Buffer.from(token).toString('base64') })),
  decode: (bytes) => plain.decode(bytes),
}

const plain = jsonCodec((value): SavedMemory => {
  if (typeof value !== 'object' || value === null) throw new TypeError('not an object')
  const { v, id, driver, image, token } = value as Readonly<Record<string, unknown>>
  if (v !== 1) throw new TypeError('a version that is not known')
  if (typeof id !== 'string' || typeof driver !== 'string' || typeof token !== 'string')
    throw new TypeError('not texts')
  return {
    id: parseSnapshotId(id),
    driver,
    ...(typeof image === 'string' ? { image: parseImageId(image) } : {}),
    token: Buffer.from(token, 'base64'),
  }
})
