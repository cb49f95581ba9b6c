import { CoveError } from '@cove/domain'
import { cutShort, type ByteReader } from './byte-reader.ts'
import { BLOCK, parsePax, parseTarHeader, type TarHeader } from './tar-header.ts'

const MAX_PAX = 1024 * 1024
/** Fill behind the end that is read, so that whoever writes it is not cut off. */
const MAX_FILL = 1024 * 1024

export interface TarEntry {
  readonly name: string
  readonly kind: 'file' | 'symlink' | 'hardlink' | 'other'
  readonly size: number
  readonly linkName: string
  /** May be left, in whole or in part. Only until the next entry is asked for. */
  readonly content: AsyncGenerator<Uint8Array, void, void>
}

const KINDS: Readonly<Record<string, TarEntry['kind']>> = { '0': 'file', '1': 'hardlink', '2': 'symlink' }

/** The entries of a tar archive, one after the other, of any size. `image-invalid` for what is none. */
export async function* readTar(reader: ByteReader): AsyncGenerator<TarEntry, void, void> {
  for (;;) {
    const header = await nextHeader(reader)
    if (header === undefined) break
    const end = reader.taken + padded(header.size)
    const kind = KINDS[header.type] ?? 'other'
    if (header.type === 'S') throw new CoveError('unsupported', 'the archive has sparse entries in an old form of GNU')
    yield { ...header, kind, content: reader.stream(header.size) }
    await reader.skip(end - reader.taken)
  }
  const end = reader.taken
  while (reader.taken - end < MAX_FILL && (await reader.some(MAX_FILL)) !== undefined);
}

/** With the names that the headers before it give. Undefined at the end. */
async function nextHeader(reader: ByteReader): Promise<TarHeader | undefined> {
  let changes: { name?: string; linkName?: string; size?: number } = {}
  for (let extensions = 0; extensions < 16; extensions++) {
    const block = await reader.exactly(BLOCK)
    // Some leave the zeros at the end away, all of them or one block of two.
    if (block === undefined) return undefined
    const header = parseTarHeader(block)
    if (header === undefined) return undefined
    if (!'xgLK'.includes(header.type)) return { ...header, ...changes }
    const bytes = await extension(reader, header)
    const text = bytes.toString('utf8').replace(/\0.*$/s, '')
    if (header.type === 'L') changes = { ...changes, name: text }
    if (header.type === 'K') changes = { ...changes, linkName: text }
    if (header.type === 'x') changes = { ...changes, ...fromPax(parsePax(bytes)) }
  }
  throw new CoveError('image-invalid', 'the archive has header after header for one entry')
}

async function extension(reader: ByteReader, { size }: TarHeader): Promise<Buffer> {
  if (size > MAX_PAX) throw new CoveError('image-invalid', 'the archive has a header of more than 1 MiB')
  const bytes = await reader.exactly(padded(size))
  if (bytes === undefined && size > 0) throw cutShort()
  return (bytes ?? Buffer.alloc(0)).subarray(0, size)
}

function fromPax(records: ReadonlyMap<string, string>) {
  const name = records.get('path')
  const linkName = records.get('linkpath')
  const size = records.get('size')
  if (records.has('GNU.sparse.major')) throw new CoveError('unsupported', 'the archive has sparse entries')
  if (size !== undefined && !/^\d{1,15}$/.test(size)) {
    throw new CoveError('image-invalid', 'an entry of the archive has no size')
  }
  return {
    ...(name === undefined ? {} : { name }),
    ...(linkName === undefined ? {} : { linkName }),
    ...(size === undefined ? {} : { size: Number(size) }),
  }
}

function padded(size: number): number {
  return Math.ceil(size / BLOCK) * BLOCK
}
