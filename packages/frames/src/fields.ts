import { isUtf8 } from 'node:buffer'
import { FrameError } from './frame-error.ts'

const FIELD_HEADER = 5

/**
 * Reads the payload of a control frame. The structure is checked once, here; every getter checks the type of its
 * value and throws FrameError. Unknown tags are skipped. Of a repeated field the plain getters take the last.
 * Values are found by walking the payload, so a hostile list of many fields costs time but no memory.
 */
export class Fields {
  readonly #payload: Buffer

  constructor(payload: Buffer) {
    this.#payload = payload
    let at = 0
    while (at < payload.length) {
      if (payload.length - at < FIELD_HEADER) throw new FrameError('a field is cut off', 'cut')
      const length = payload.readUInt32BE(at + 1)
      at += FIELD_HEADER
      if (length > payload.length - at) throw new FrameError('a field is longer than its payload', 'cut')
      at += length
    }
  }

  /** The last value of this tag, a view of the payload. */
  bytes(tag: number): Buffer | undefined {
    let last: Buffer | undefined
    for (const value of this.#values(tag)) last = value
    return last
  }

  /** Throws above `Number.MAX_SAFE_INTEGER`. */
  number(tag: number): number | undefined {
    const value = this.bytes(tag)
    return value === undefined ? undefined : toNumber(tag, value)
  }

  /** For numbers that may need more than 53 bits. */
  bigint(tag: number): bigint | undefined {
    const value = this.bytes(tag)
    if (value === undefined) return undefined
    return checkNumber(tag, value).readBigUInt64BE(0)
  }

  truth(tag: number): boolean | undefined {
    const value = this.number(tag)
    if (value === undefined) return undefined
    if (value > 1) throw new FrameError(`field ${tag}: not a truth`, 'truth')
    return value === 1
  }

  text(tag: number): string | undefined {
    const value = this.bytes(tag)
    return value === undefined ? undefined : toText(tag, value)
  }

  fields(tag: number): Fields | undefined {
    const value = this.bytes(tag)
    return value === undefined ? undefined : new Fields(value)
  }

  /** Every value of this tag, in order, as views of the payload. */
  allBytes(tag: number): Buffer[] {
    return [...this.#values(tag)]
  }

  allNumbers(tag: number): number[] {
    return this.allBytes(tag).map((value) => toNumber(tag, value))
  }

  allTexts(tag: number): string[] {
    return this.allBytes(tag).map((value) => toText(tag, value))
  }

  allFields(tag: number): Fields[] {
    return this.allBytes(tag).map((value) => new Fields(value))
  }

  needBytes(tag: number): Buffer {
    return this.bytes(tag) ?? missing(tag)
  }

  needNumber(tag: number): number {
    return this.number(tag) ?? missing(tag)
  }

  needText(tag: number): string {
    return this.text(tag) ?? missing(tag)
  }

  *#values(tag: number): Generator<Buffer, undefined> {
    const payload = this.#payload
    let at = 0
    while (at < payload.length) {
      const length = payload.readUInt32BE(at + 1)
      const start = at + FIELD_HEADER
      if (payload[at] === tag) yield payload.subarray(start, start + length)
      at = start + length
    }
    return undefined
  }
}

function missing(tag: number): never {
  throw new FrameError(`field ${tag} is missing`, 'missing')
}

function checkNumber(tag: number, value: Buffer): Buffer {
  if (value.length !== 8) throw new FrameError(`field ${tag}: a number has 8 bytes`, 'number')
  return value
}

function toNumber(tag: number, value: Buffer): number {
  checkNumber(tag, value)
  const number = value.readUInt32BE(0) * 0x1_0000_0000 + value.readUInt32BE(4)
  if (number > Number.MAX_SAFE_INTEGER) throw new FrameError(`field ${tag}: a number is too large`, 'number')
  return number
}

function toText(tag: number, value: Buffer): string {
  if (!isUtf8(value)) throw new FrameError(`field ${tag}: not UTF-8`, 'text')
  return value.toString('utf8')
}
