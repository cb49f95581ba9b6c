import { readFileSync, writeFileSync } from 'node:fs'

/** What tells how to leave a function by an exception. */
const UNWINDING: ReadonlySet<string> = new Set(['.eh_frame', '.eh_frame_hdr', '.gcc_except_table'])
const HEADER_BYTES = 64
const SECTION_BYTES = 64

/**
 * An ELF program for 64-bit machines of little end without its tables for unwinding, as zeroes: a program that ends
 * where it panics never reads them, and a package is a twentieth smaller without. Throws for anything else.
 * The layout is that of the System V ABI, edition of 2013, chapter 4.
 */
export function dropUnwinding(program: Uint8Array): Uint8Array {
  const bytes = Buffer.from(program)
  if (bytes.length < HEADER_BYTES || bytes.toString('latin1', 0, 6) !== '\x7fELF\x02\x01') {
    throw new Error('not an ELF program for 64-bit machines of little end')
  }
  const at = Number(bytes.readBigUInt64LE(0x28))
  const [count, names] = [bytes.readUInt16LE(0x3c), bytes.readUInt16LE(0x3e)]
  if (at + count * SECTION_BYTES > bytes.length || names >= count) throw new Error('its sections are not in it')
  const section = (index: number) => {
    const from = at + index * SECTION_BYTES
    const [offset, size] = [0x18, 0x20].map((field) => Number(bytes.readBigUInt64LE(from + field))) as [number, number]
    return { name: bytes.readUInt32LE(from), offset, size }
  }
  const texts = section(names)
  for (let index = 0; index < count; index++) {
    const { name, offset, size } = section(index)
    const start = texts.offset + name
    if (!UNWINDING.has(bytes.toString('latin1', start, bytes.indexOf(0, start)))) continue
    if (offset + size > bytes.length) throw new Error('its sections are not in it')
    bytes.fill(0, offset, offset + size)
  }
  return bytes
}

if (import.meta.main) for (const path of process.argv.slice(2)) writeFileSync(path, dropUnwinding(readFileSync(path)))
