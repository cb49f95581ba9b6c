/** The smallest image that counts as a kernel: one part that is loaded, and the note with the PVH entry. */
export function elfKernel(extra = ''): Buffer {
  const head = Buffer.alloc(64)
  head.write('\u007FELF', 'latin1')
  head.set([2, 1, 1], 4)
  head.writeUInt16LE(2, 16)
  head.writeUInt16LE(62, 18)
  head.writeBigUInt64LE(64n, 32)
  head.writeUInt16LE(56, 54)
  head.writeUInt16LE(2, 56)
  const note = Buffer.concat([words(4, 4, 18), Buffer.from('Xen\0'), words(0x100_0000)])
  const load = Buffer.from(`kernel ${extra}`)
  const start = 64 + 2 * 56
  return Buffer.concat([head, program(4, start, note.length), program(1, start + note.length, load.length), note, load])
}

function program(type: number, offset: number, size: number): Buffer {
  const header = Buffer.alloc(56)
  header.writeUInt32LE(type, 0)
  header.writeBigUInt64LE(BigInt(offset), 8)
  header.writeBigUInt64LE(BigInt(size), 32)
  return header
}

function words(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4)
  for (const [index, value] of values.entries()) bytes.writeUInt32LE(value, index * 4)
  return bytes
}

/** A boot image as a distribution has it, around a payload. */
export function bzImage(payload: Buffer): Buffer {
  const setup = Buffer.alloc(3 * 512)
  setup[0x1f1] = 2
  setup.write('HdrS', 0x202, 'latin1')
  setup.writeUInt16LE(0x20f, 0x206)
  const before = Buffer.alloc(100, 'code')
  setup.writeUInt32LE(before.length, 0x248)
  setup.writeUInt32LE(payload.length, 0x24c)
  return Buffer.concat([setup, before, payload, Buffer.alloc(64)])
}

/** A module that says this of itself. */
export function kernelModule(facts: Readonly<Record<string, string>>): Buffer {
  const names = Buffer.from('\0.modinfo\0.names\0')
  const info = Buffer.from(
    Object.entries(facts)
      .map(([name, value]) => `${name}=${value}\0`)
      .join(''),
  )
  const head = Buffer.alloc(64)
  head.write('\u007FELF', 'latin1')
  head.set([2, 1, 1], 4)
  const table = 64 + names.length + info.length
  head.writeBigUInt64LE(BigInt(table), 40)
  head.writeUInt16LE(64, 58)
  head.writeUInt16LE(3, 60)
  head.writeUInt16LE(2, 62)
  const sections = [section(0, 0, 0), section(1, 64 + names.length, info.length), section(10, 64, names.length)]
  return Buffer.concat([head, names, info, ...sections])
}

function section(name: number, offset: number, size: number): Buffer {
  const header = Buffer.alloc(64)
  header.writeUInt32LE(name, 0)
  header.writeBigUInt64LE(BigInt(offset), 24)
  header.writeBigUInt64LE(BigInt(size), 32)
  return header
}
