import { CoveError } from '@cove/domain'

const BLOCK = 512
/** Two empty blocks end an archive. */
const END = new Uint8Array(2 * BLOCK)
const LARGEST_OCTAL = 0o77777777777
const text = new TextEncoder()

/** One member of an archive. Owners and times are left out, so that the same content is the same bytes. */
export type TarEntry =
  | {
      readonly type: 'file'
      readonly path: string
      readonly executable: boolean
      readonly size: number
      readonly content: () => AsyncIterable<Uint8Array>
    }
  | { readonly type: 'directory'; readonly path: string }
  | { readonly type: 'symlink'; readonly path: string; readonly target: string }

/** A tar archive (POSIX, with extended headers where names are long), in the order of the entries. */
export async function* tarOf(entries: AsyncIterable<TarEntry> | Iterable<TarEntry>): AsyncGenerator<Uint8Array> {
  for await (const entry of entries) {
    yield* header(entry)
    if (entry.type !== 'file') continue
    let left = entry.size
    for await (const chunk of entry.content()) {
      left -= chunk.length
      if (left < 0) break
      yield chunk
    }
    if (left !== 0)
      throw new CoveError('io-error', `${entry.path} has changed while it was read`, {}, { fix: 'Call again.' })
    yield padding(entry.size)
  }
  yield END
}

function* header(entry: TarEntry): Generator<Uint8Array> {
  const path = entry.type === 'directory' ? `${entry.path}/` : entry.path
  const target = entry.type === 'symlink' ? entry.target : ''
  const size = entry.type === 'file' ? entry.size : 0
  const records = [
    ...(text.encode(path).length > 100 ? [record('path', path)] : []),
    ...(text.encode(target).length > 100 ? [record('linkpath', target)] : []),
    ...(size > LARGEST_OCTAL ? [record('size', String(size))] : []),
  ]
  if (records.length > 0) {
    const extended = text.encode(records.join(''))
    yield block('pax', 'x', extended.length, 0o644, '')
    yield extended
    yield padding(extended.length)
  }
  const mode = entry.type === 'file' && !entry.executable ? 0o644 : entry.type === 'symlink' ? 0o777 : 0o755
  const kind = { file: '0', directory: '5', symlink: '2' }[entry.type]
  yield block(path, kind, Math.min(size, LARGEST_OCTAL), mode, target)
}

function block(path: string, kind: string, size: number, mode: number, target: string): Uint8Array {
  const bytes = new Uint8Array(BLOCK)
  const put = (value: string, at: number, length: number): void => {
    bytes.set(text.encode(value).subarray(0, length), at)
  }
  const octal = (value: number, at: number, length: number): void => {
    put(value.toString(8).padStart(length - 1, '0'), at, length)
  }
  put(path, 0, 100)
  octal(mode, 100, 8)
  octal(0, 108, 8)
  octal(0, 116, 8)
  octal(size, 124, 12)
  octal(0, 136, 12)
  put('        ', 148, 8)
  put(kind, 156, 1)
  put(target, 157, 100)
  put('ustar\u000000', 257, 8)
  octal(
    bytes.reduce((sum, byte) => sum + byte, 0),
    148,
    7,
  )
  return bytes
}

/** `length key=value\n`, where the length counts itself. */
function record(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`
  const bytes = text.encode(rest).length
  let length = bytes + String(bytes).length
  if (String(length).length !== String(bytes).length) length = bytes + String(length).length
  return `${length}${rest}`
}

function padding(size: number): Uint8Array {
  return new Uint8Array((BLOCK - (size % BLOCK)) % BLOCK)
}
