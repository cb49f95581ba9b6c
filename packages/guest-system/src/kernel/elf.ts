import { CoveError } from '@cove/domain'

const MACHINES: Readonly<Record<string, number>> = { x86_64: 62, aarch64: 183 }
const EXECUTABLE = 2
const LOAD = 1
const NOTE = 4
/** The entry by which QEMU and Firecracker start a kernel without its boot loader's code ("PVH"). */
const PVH_ENTRY = 18
const MAX_NOTES = 4_096

/**
 * Refuses with `kernel-invalid` what no VM could boot: on x86-64 an ELF image with the PVH entry, on arm64 the image
 * with its own head.
 */
export function checkKernelImage(image: Uint8Array, machine: string): void {
  const bytes = Buffer.from(image.buffer, image.byteOffset, image.byteLength)
  if (machine === 'aarch64') {
    if (bytes.length < 64 || bytes.toString('latin1', 0x38, 0x3c) !== 'ARMd') throw refuse('it is no arm64 image')
    return
  }
  if (bytes.length < 64 || bytes.toString('latin1', 0, 4) !== '\u007FELF') throw refuse('it is no ELF image')
  if (bytes[4] !== 2 || bytes[5] !== 1) throw refuse('it is not of a 64-bit, little-endian machine')
  if (bytes.readUInt16LE(16) !== EXECUTABLE) throw refuse('it is no executable')
  if (bytes.readUInt16LE(18) !== MACHINES[machine]) throw refuse(`it is not for ${machine}`)
  const programs = programHeaders(bytes)
  if (!programs.some(({ type }) => type === LOAD)) throw refuse('nothing of it is loaded')
  if (!programs.some((program) => program.type === NOTE && hasPvhEntry(bytes, program))) {
    throw refuse('it has no PVH entry')
  }
}

interface ProgramHeader {
  readonly type: number
  readonly offset: number
  readonly size: number
}

function programHeaders(bytes: Buffer): ProgramHeader[] {
  const start = Number(bytes.readBigUInt64LE(32))
  const size = bytes.readUInt16LE(54)
  const count = bytes.readUInt16LE(56)
  if (size < 56 || start + size * count > bytes.length) throw refuse('it is cut short')
  return Array.from({ length: count }, (_, index) => {
    const at = start + index * size
    const offset = Number(bytes.readBigUInt64LE(at + 8))
    const length = Number(bytes.readBigUInt64LE(at + 32))
    if (offset + length > bytes.length) throw refuse('it is cut short')
    return { type: bytes.readUInt32LE(at), offset, size: length }
  })
}

function hasPvhEntry(bytes: Buffer, { offset, size }: ProgramHeader): boolean {
  let at = offset
  for (let seen = 0; seen < MAX_NOTES && at + 12 <= offset + size; seen++) {
    const named = bytes.readUInt32LE(at)
    const described = bytes.readUInt32LE(at + 4)
    const name = bytes.toString('latin1', at + 12, at + 12 + Math.min(named, 4))
    if (bytes.readUInt32LE(at + 8) === PVH_ENTRY && name === 'Xen\0') return true
    at += 12 + roundUp(named) + roundUp(described)
  }
  return false
}

const roundUp = (bytes: number): number => Math.ceil(bytes / 4) * 4

function refuse(why: string): CoveError {
  return new CoveError('kernel-invalid', `the kernel cannot be booted: ${why}`)
}
