import { CoveError } from '@cove/domain'

export interface TarFile {
  readonly path: string
  readonly bytes: number
  /** To be read to its end or not at all before the next file is asked for. */
  readonly data: AsyncIterable<Uint8Array>
}

const BLOCK = 512
/** Of what stands before a file to describe it: a long name, or attributes. */
const MAX_EXTENSION = 64 * 1024

/**
 * The regular files of a tar archive (POSIX ustar and pax, GNU long names), as they come. `image-invalid` for what is no
 * such archive or ends too early.
 */
export async function* readTar(archive: AsyncIterable<Uint8Array>): AsyncIterable<TarFile> {
  await using source = new Source(archive)
  let longPath: string | undefined
  let longSize: number | undefined
  for (;;) {
    const header = await source.take(BLOCK)
    if (header === undefined || header.every((byte) => byte === 0)) return
    checkSum(header)
    const type = String.fromCharCode(header[156] ?? 0)
    const ownSize = numberAt(header, 124, 12)
    if (type === 'x' || type === 'L') {
      if (ownSize > MAX_EXTENSION) throw invalid('the description of a file is too long')
      const text = await source.text(ownSize)
      if (type === 'L') longPath = text.replace(/\0.*$/s, '')
      else ({ path: longPath = longPath, size: longSize } = paxOf(text))
      await source.skip(padding(ownSize))
      continue
    }
    const bytes = longSize ?? ownSize
    const path = longPath ?? pathOf(header)
    longPath = undefined
    longSize = undefined
    const isFile = type === '0' || type === '\0'
    source.left = bytes
    if (isFile) yield { path, bytes, data: source.file() }
    await source.skip(source.left)
    await source.skip(padding(bytes))
  }
}

/** Bytes of the archive in the order in which they come, however they were cut. */
class Source implements AsyncDisposable {
  /** Of the current file, not read yet. */
  left = 0
  readonly #chunks: AsyncIterator<Uint8Array>
  #rest = new Uint8Array()

  constructor(archive: AsyncIterable<Uint8Array>) {
    this.#chunks = archive[Symbol.asyncIterator]()
  }

  /** Exactly so many; undefined at the end of the archive. */
  async take(count: number): Promise<Uint8Array | undefined> {
    const parts: Uint8Array[] = []
    let missing = count
    while (missing > 0) {
      const part = await this.#some(missing)
      if (part === undefined) {
        if (missing === count) return undefined
        throw invalid('it ends in the middle')
      }
      parts.push(part)
      missing -= part.length
    }
    return Buffer.concat(parts)
  }

  async text(count: number): Promise<string> {
    const bytes = count === 0 ? new Uint8Array() : await this.take(count)
    if (bytes === undefined) throw invalid('it ends in the middle')
    return Buffer.from(bytes).toString('utf8')
  }

  async *file(): AsyncIterable<Uint8Array> {
    while (this.left > 0) {
      const part = await this.#some(this.left)
      if (part === undefined) throw invalid('it ends in the middle')
      this.left -= part.length
      yield part
    }
  }

  async skip(count: number): Promise<void> {
    for (let missing = count; missing > 0;) {
      const part = await this.#some(missing)
      if (part === undefined) throw invalid('it ends in the middle')
      missing -= part.length
    }
    this.left = 0
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#chunks.return?.()
  }

  async #some(atMost: number): Promise<Uint8Array | undefined> {
    while (this.#rest.length === 0) {
      const next = await this.#chunks.next()
      if (next.done === true) return undefined
      this.#rest = new Uint8Array(next.value)
    }
    const part = this.#rest.subarray(0, atMost)
    this.#rest = this.#rest.subarray(part.length)
    return part
  }
}

const padding = (bytes: number): number => (BLOCK - (bytes % BLOCK)) % BLOCK

function pathOf(header: Uint8Array): string {
  const name = textAt(header, 0, 100)
  const prefix = textAt(header, 257, 5) === 'ustar' ? textAt(header, 345, 155) : ''
  return prefix === '' ? name : `${prefix}/${name}`
}

function textAt(header: Uint8Array, at: number, length: number): string {
  return Buffer.from(header.subarray(at, at + length))
    .toString('utf8')
    .replace(/\0.*$/s, '')
}

/** Octal digits, or what does not fit them: a first bit, then a number of many bytes. */
function numberAt(header: Uint8Array, at: number, length: number): number {
  const bytes = header.subarray(at, at + length)
  const first = bytes[0] ?? 0
  if (first >= 0x80) {
    let value = BigInt(first & 0x7f)
    for (const byte of bytes.subarray(1)) value = value * 256n + BigInt(byte)
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw invalid('a number is too large')
    return Number(value)
  }
  const text = textAt(header, at, length).trim()
  if (!/^[0-7]*$/.test(text)) throw invalid('a number is not octal')
  return text === '' ? 0 : Number.parseInt(text, 8)
}

/** The sum of the header's bytes, its own place taken as blanks. */
function checkSum(header: Uint8Array): void {
  let sum = 0
  for (const [at, byte] of header.entries()) sum += at >= 148 && at < 156 ? 32 : byte
  if (sum !== numberAt(header, 148, 8)) throw invalid('a checksum is wrong')
}

/** Records of `<length> <key>=<value>\n`. */
function paxOf(text: string): { path?: string; size?: number } {
  const found: { path?: string; size?: number } = {}
  let rest = Buffer.from(text)
  while (rest.length > 0) {
    const space = rest.indexOf(' ')
    const length = Number(rest.subarray(0, Math.max(space, 0)).toString())
    if (!Number.isInteger(length) || length <= space + 1 || length > rest.length) throw invalid('bad attributes')
    const record = rest.subarray(space + 1, length - 1).toString('utf8')
    const equals = record.indexOf('=')
    const [key, value] = [record.slice(0, equals), record.slice(equals + 1)]
    if (key === 'path') found.path = value
    if (key === 'size') {
      const size = Number(value)
      if (!Number.isSafeInteger(size) || size < 0) throw invalid('a size is no number')
      found.size = size
    }
    rest = rest.subarray(length)
  }
  return found
}

function invalid(what: string): CoveError {
  return new CoveError('image-invalid', `not a readable archive: ${what}`)
}
