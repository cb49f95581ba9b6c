import { CoveError } from '@cove/domain'

const BLOCK = 512
const MAX_NAME_BYTES = 64 * 1024

export interface TarEntry {
  readonly name: string
  /** As in the header: `0` is a file. */
  readonly type: string
  readonly size: number
  /** To be read before the next entry is asked for; what is left is skipped. */
  content(): AsyncGenerator<Uint8Array>
}

/** Reads a tar archive as it streams: ustar, with long names as GNU and pax have them. */
export class TarReader implements AsyncIterable<TarEntry> {
  readonly #source: AsyncIterator<Uint8Array>
  #chunk: Buffer = Buffer.alloc(0)

  constructor(archive: AsyncIterable<Uint8Array>) {
    this.#source = archive[Symbol.asyncIterator]()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TarEntry> {
    try {
      yield* this.#entries()
    } finally {
      await this.#source.return?.()
    }
  }

  async *#entries(): AsyncGenerator<TarEntry> {
    let longName: string | undefined
    let longSize: number | undefined
    for (;;) {
      const header = await this.#exactly(BLOCK, true)
      if (header === undefined || header.every((byte) => byte === 0)) return
      checkSum(header)
      const type = textAt(header, 156, 1) || '0'
      const isDescription = type === 'L' || type === 'x' || type === 'g'
      const size = (isDescription ? undefined : longSize) ?? number(header, 124, 12)
      const padded = Math.ceil(size / BLOCK) * BLOCK
      if (isDescription) {
        if (size > MAX_NAME_BYTES) throw broken('a name is too long')
        const content = ((await this.#exactly(padded)) ?? Buffer.alloc(0)).subarray(0, size)
        if (type === 'L') longName = textAt(content, 0, size)
        else if (type === 'x') ({ path: longName = longName, size: longSize } = paxOf(content))
        continue
      }
      const prefix = textAt(header, 257, 5) === 'ustar' ? textAt(header, 345, 155) : ''
      const own = textAt(header, 0, 100)
      const name = longName ?? (prefix === '' ? own : `${prefix}/${own}`)
      longName = undefined
      longSize = undefined
      const rest = { left: size }
      yield { name, type, size, content: () => this.#content(rest) }
      await this.#skip(rest.left + padded - size)
    }
  }

  async *#content(rest: { left: number }): AsyncGenerator<Uint8Array> {
    while (rest.left > 0) {
      const piece = await this.#some(rest.left)
      rest.left -= piece.length
      yield piece
    }
  }

  async #some(most: number): Promise<Buffer> {
    if (this.#chunk.length === 0 && !(await this.#more())) throw broken('it ends too early')
    const piece = this.#chunk.subarray(0, most)
    this.#chunk = this.#chunk.subarray(piece.length)
    return piece
  }

  async #skip(bytes: number): Promise<void> {
    for (let left = bytes; left > 0;) left -= (await this.#some(left)).length
  }

  /** Undefined at the end, where that is allowed. */
  async #exactly(bytes: number, mayEnd = false): Promise<Buffer | undefined> {
    const pieces: Buffer[] = []
    for (let left = bytes; left > 0;) {
      if (mayEnd && left === bytes && this.#chunk.length === 0 && !(await this.#more())) return undefined
      const piece = await this.#some(left)
      left -= piece.length
      pieces.push(piece)
    }
    return Buffer.concat(pieces)
  }

  async #more(): Promise<boolean> {
    for (;;) {
      const { done, value } = await this.#source.next()
      if (done === true) return false
      if (value.length === 0) continue
      this.#chunk = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
      return true
    }
  }
}

function textAt(bytes: Buffer, at: number, length: number): string {
  const field = bytes.subarray(at, at + length)
  const end = field.indexOf(0)
  return field.subarray(0, end < 0 ? field.length : end).toString('utf8')
}

/** Octal text, or a binary number where the first bit is set. */
function number(header: Buffer, at: number, length: number): number {
  const field = header.subarray(at, at + length)
  const first = field[0] ?? 0
  let value = 0
  if ((first & 0x80) !== 0) {
    value = first & 0x7f
    for (const byte of field.subarray(1)) value = value * 256 + byte
  } else {
    const text = field.toString('latin1').replaceAll('\0', ' ').trim()
    if (!/^[0-7]*$/.test(text)) throw broken('a number is none')
    value = text === '' ? 0 : Number.parseInt(text, 8)
  }
  if (!Number.isSafeInteger(value)) throw broken('a number is too large')
  return value
}

function checkSum(header: Buffer): void {
  let sum = 0
  for (let index = 0; index < BLOCK; index++) sum += index >= 148 && index < 156 ? 32 : (header[index] ?? 0)
  if (number(header, 148, 8) !== sum) throw broken('a header is damaged')
}

/** Records `<length> <key>=<value>\n`; the length counts the whole record. */
function paxOf(content: Buffer): { path?: string; size?: number } {
  const found: { path?: string; size?: number } = {}
  for (let at = 0; at < content.length;) {
    const blank = content.indexOf(32, at)
    const length = blank < 0 ? Number.NaN : Number(content.subarray(at, blank).toString('latin1'))
    if (!Number.isSafeInteger(length) || length <= blank - at + 1 || at + length > content.length) {
      throw broken('an extended header is damaged')
    }
    const record = content.subarray(blank + 1, at + length - 1).toString('utf8')
    if (record.startsWith('path=')) found.path = record.slice('path='.length)
    if (record.startsWith('size=')) {
      found.size = Number(record.slice('size='.length))
      if (!Number.isSafeInteger(found.size) || found.size < 0) throw broken('a size is no number')
    }
    at += length
  }
  return found
}

function broken(message: string): CoveError {
  return new CoveError('image-invalid', `the archive cannot be read: ${message}`)
}
