import { CoveError } from '@cove/domain'

/** Turns records into bytes and back; `decode` throws on what it does not know. */
export interface Codec<T> {
  encode(value: T): Uint8Array
  decode(bytes: Uint8Array): T
}

/** Records as JSON. The parser validates, and reads the versions of the record that it still knows. */
export function jsonCodec<T>(parse: (value: unknown) => T): Codec<T> {
  return {
    encode: (value) => Buffer.from(JSON.stringify(value)),
    decode: (bytes) => {
      try {
        return parse(JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')))
      } catch (cause) {
        const why = cause instanceof Error ? cause.message : String(cause)
        throw new CoveError('store-corrupt', `a record cannot be read: ${why}`, {}, { cause })
      }
    },
  }
}
