const BLOCK = 512

/** A tar archive (POSIX ustar) with one executable file of root's; nothing of it depends on the time. */
export function tarOfFile(name: string, content: Uint8Array): Uint8Array {
  if (Buffer.byteLength(name) > 100) throw new RangeError('the name is too long for an archive')
  const header = Buffer.alloc(BLOCK)
  const octal = (value: number, at: number, length: number) =>
    header.write(`${value.toString(8).padStart(length - 1, '0')}\0`, at, 'latin1')
  header.write(name, 0)
  octal(0o555, 100, 8)
  octal(0, 108, 8)
  octal(0, 116, 8)
  octal(content.length, 124, 12)
  octal(0, 136, 12)
  header.write('        0', 148, 'latin1')
  header.write('ustar\x0000', 257, 'latin1')
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  const padding = Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK)
  return Buffer.concat([header, content, padding, emptyTar])
}

/** The end of every archive, and so an archive of nothing. */
export const emptyTar: Uint8Array = Buffer.alloc(2 * BLOCK)
