/** One file of an archive; gives exactly `size` bytes. */
export interface TarFile {
  readonly name: string
  readonly size: number
  readonly content: () => AsyncIterable<Uint8Array> | Iterable<Uint8Array>
}

const BLOCK = 512
/** Of a size in octal digits; larger ones are written in binary, as GNU tar does. */
const MAX_OCTAL = 0o77777777777

/**
 * A tar archive of plain files and of the folders on the way to them, always the same for the same files: no owner, no
 * time. Throws when a file gives more or less than it says.
 */
export async function* writeTar(files: Iterable<TarFile>): AsyncGenerator<Uint8Array> {
  const folders = new Set<string>()
  for (const { name, size, content } of files) {
    for (const folder of foldersOf(name)) {
      if (folders.has(folder)) continue
      folders.add(folder)
      yield header(`${folder}/`, 0, '5', 0o755)
    }
    yield header(name, size, '0', 0o644)
    let written = 0
    for await (const chunk of content()) {
      written += chunk.length
      if (written > size) break
      yield chunk
    }
    if (written !== size) throw new Error(`${name} has other than ${size} bytes`)
    const padding = (BLOCK - (size % BLOCK)) % BLOCK
    if (padding > 0) yield new Uint8Array(padding)
  }
  yield new Uint8Array(2 * BLOCK)
}

function foldersOf(name: string): string[] {
  const parts = name.split('/').slice(0, -1)
  return parts.map((_, at) => parts.slice(0, at + 1).join('/'))
}

function header(name: string, size: number, type: '0' | '5', mode: number): Uint8Array {
  const block = Buffer.alloc(BLOCK)
  if (block.write(name, 0, 100) !== Buffer.byteLength(name)) throw new Error(`the name ${name} is too long`)
  block.write(octal(mode, 7), 100)
  block.write(octal(0, 7), 108)
  block.write(octal(0, 7), 116)
  if (size <= MAX_OCTAL) block.write(octal(size, 11), 124)
  else {
    block[124] = 0x80
    block.writeBigUInt64BE(BigInt(size), 128)
  }
  block.write(octal(0, 11), 136)
  block.fill(' ', 148, 156)
  block.write(type, 156)
  block.write('ustar\u000000', 257)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${octal(sum, 6)}\u0000 `, 148)
  return block
}

const octal = (value: number, digits: number): string => value.toString(8).padStart(digits, '0')
