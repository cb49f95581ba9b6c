const BLOCK = 512
const MAX_NAME = 100

/** The head of an entry of a tar archive (POSIX ustar), root's; nothing of it depends on the time. */
export function tarHeader(name: string, size: number, mode = 0o644, type = '0'): Uint8Array {
  if (Buffer.byteLength(name) > MAX_NAME) throw new RangeError('the name is too long for an archive')
  const header = Buffer.alloc(BLOCK)
  const octal = (value: number, at: number, length: number) =>
    header.write(`${value.toString(8).padStart(length - 1, '0')}\0`, at, 'latin1')
  header.write(name, 0)
  octal(mode, 100, 8)
  octal(0, 108, 8)
  octal(0, 116, 8)
  writeSize(header, size)
  octal(0, 136, 12)
  header.write('        ', 148, 'latin1')
  header.write(type, 156, 'latin1')
  header.write('ustar\x0000', 257, 'latin1')
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return header
}

/** Octal, or binary behind a first bit for 8 GiB and more. */
function writeSize(header: Buffer, size: number): void {
  if (size < 8 ** 11) {
    header.write(`${size.toString(8).padStart(11, '0')}\0`, 124, 'latin1')
    return
  }
  header.writeUInt8(0x80, 124)
  header.writeBigUInt64BE(BigInt(size), 128)
}

/** What follows a content of this size. */
export const tarPadding = (size: number): Uint8Array => Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK)

/** The end of every archive, and so an archive of nothing. */
export const emptyTar: Uint8Array = Buffer.alloc(2 * BLOCK)

/** An archive with one executable file. */
export function tarOfFile(name: string, content: Uint8Array): Uint8Array {
  return Buffer.concat([tarHeader(name, content.length, 0o555), content, tarPadding(content.length), emptyTar])
}
