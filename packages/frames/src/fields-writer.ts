import { FrameError } from './frame-error.ts'

const FIELD_HEADER = 5

/** Builds the payload of a control frame: tagged fields in the order of the calls. `undefined` writes nothing. */
export class FieldsWriter {
  #buffer = Buffer.allocUnsafe(256)
  #length = 0

  /** 0 to `Number.MAX_SAFE_INTEGER`, whole; 8 bytes on the wire. */
  number(tag: number, value: number | undefined): this {
    if (value === undefined) return this
    if (!Number.isSafeInteger(value) || value < 0)
      throw new FrameError(`field ${tag}: not a whole number from 0`, 'number')
    const at = this.#field(tag, 8)
    this.#buffer.writeUInt32BE(Math.floor(value / 0x1_0000_0000), at)
    this.#buffer.writeUInt32BE(value >>> 0, at + 4)
    return this
  }

  truth(tag: number, value: boolean | undefined): this {
    return value === undefined ? this : this.number(tag, value ? 1 : 0)
  }

  text(tag: number, value: string | undefined): this {
    if (value === undefined) return this
    const length = Buffer.byteLength(value)
    const at = this.#field(tag, length)
    this.#buffer.write(value, at, 'utf8')
    return this
  }

  bytes(tag: number, value: Uint8Array | undefined): this {
    if (value === undefined) return this
    const at = this.#field(tag, value.length)
    this.#buffer.set(value, at)
    return this
  }

  /** A nested list; call again with the same tag to repeat it. */
  fields(tag: number, value: FieldsWriter | undefined): this {
    return this.bytes(tag, value?.finish())
  }

  texts(tag: number, values: Iterable<string> | undefined): this {
    for (const value of values ?? []) this.text(tag, value)
    return this
  }

  /** The payload: a view that is valid until the next write. */
  finish(): Buffer {
    return this.#buffer.subarray(0, this.#length)
  }

  #field(tag: number, length: number): number {
    if (!Number.isInteger(tag) || tag < 0 || tag > 255) throw new FrameError(`tag ${tag} is not a byte`)
    const end = this.#length + FIELD_HEADER + length
    if (end > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(end, this.#buffer.length * 2))
      this.#buffer.copy(larger, 0, 0, this.#length)
      this.#buffer = larger
    }
    this.#buffer[this.#length] = tag
    this.#buffer.writeUInt32BE(length, this.#length + 1)
    const at = this.#length + FIELD_HEADER
    this.#length = end
    return at
  }
}
