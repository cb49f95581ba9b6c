import { CoveError } from '@cove/domain'

export const BLOCK = 512

/** One header block of a tar archive, as POSIX and GNU write them. */
export interface TarHeader {
  readonly name: string
  readonly size: number
  /** The type flag: `0` file, `1` hard link, `2` symbolic link, `5` directory, `x` and `g` pax, `L` and `K` GNU. */
  readonly type: string
  readonly linkName: string
}

/** Undefined for a block of zeros. Throws `image-invalid` for what is no header. */
export function parseTarHeader(block: Buffer): TarHeader | undefined {
  if (block.every((byte) => byte === 0)) return undefined
  if (readNumber(block, 148, 8) !== sumOf(block)) throw new CoveError('image-invalid', 'the archive is no tar archive')
  const size = readNumber(block, 124, 12)
  if (size === undefined) throw new CoveError('image-invalid', 'an entry of the archive has no size')
  const prefix = block.toString('latin1', 257, 263) === 'ustar\0' ? readText(block, 345, 155) : ''
  const name = readText(block, 0, 100)
  const type = block.toString('latin1', 156, 157)
  return {
    name: prefix === '' ? name : `${prefix}/${name}`,
    size,
    type: type === '\0' || type === '7' ? '0' : type,
    linkName: readText(block, 157, 100),
  }
}

/** Records of a pax header that matter here: `<length> <name>=<value>\n`. */
export function parsePax(bytes: Buffer): ReadonlyMap<string, string> {
  const records = new Map<string, string>()
  for (let at = 0; at < bytes.length;) {
    const blank = bytes.indexOf(0x20, at)
    const length = blank < 0 || blank - at > 10 ? Number.NaN : Number(bytes.toString('latin1', at, blank))
    const end = at + length
    if (!Number.isInteger(length) || end <= blank || end > bytes.length || bytes[end - 1] !== 0x0a) {
      throw new CoveError('image-invalid', 'the archive has a broken pax header')
    }
    const text = bytes.toString('utf8', blank + 1, end - 1)
    const mark = text.indexOf('=')
    if (mark > 0) records.set(text.slice(0, mark), text.slice(mark + 1))
    at = end
  }
  return records
}

/** Both ways of summing: as unsigned bytes. The field itself counts as blanks. */
function sumOf(block: Buffer): number {
  let sum = 8 * 0x20
  for (const [at, byte] of block.entries()) if (at < 148 || at >= 156) sum += byte
  return sum
}

/** Octal digits, or two's complement with the first bit set. */
function readNumber(block: Buffer, at: number, length: number): number | undefined {
  const first = block[at] ?? 0
  if ((first & 0x80) !== 0) {
    let value = BigInt(first & 0x7f)
    for (const byte of block.subarray(at + 1, at + length)) value = (value << 8n) | BigInt(byte)
    return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : undefined
  }
  const text = block
    .toString('latin1', at, at + length)
    .replace(/[\0 ]+$/, '')
    .trimStart()
  return /^[0-7]{0,12}$/.test(text) ? Number.parseInt(text === '' ? '0' : text, 8) : undefined
}

function readText(block: Buffer, at: number, length: number): string {
  const field = block.subarray(at, at + length)
  const end = field.indexOf(0)
  return field.toString('utf8', 0, end < 0 ? length : end)
}
