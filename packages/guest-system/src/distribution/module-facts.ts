import { CoveError } from '@cove/domain'

/** What a module says of itself. Names are as the kernel writes them, with `_` and never `-`. */
export interface ModuleFacts {
  readonly depends: readonly string[]
  /** Loaded before it where they are there; some are names of algorithms. */
  readonly before: readonly string[]
}

const MAX_SECTIONS = 65_535

/** Reads the section `.modinfo` of an uncompressed module; `kernel-invalid` where there is none. */
export function moduleFacts(module: Uint8Array): ModuleFacts {
  const bytes = Buffer.from(module.buffer, module.byteOffset, module.byteLength)
  const lines = modinfo(bytes).toString('latin1').split('\0')
  const depends = valuesOf(lines, 'depends').flatMap((value) => value.split(','))
  const before = valuesOf(lines, 'softdep').flatMap((value) => beforeOf(value))
  return { depends: clean(depends), before: clean(before) }
}

/** Of `pre: a b post: c` what stands behind `pre:`. */
function beforeOf(value: string): string[] {
  const words = value.split(/\s+/)
  const from = words.indexOf('pre:')
  if (from < 0) return []
  const end = words.findIndex((word, index) => index > from && word.endsWith(':'))
  return words.slice(from + 1, end < 0 ? undefined : end)
}

const valuesOf = (lines: readonly string[], name: string): string[] =>
  lines.filter((line) => line.startsWith(`${name}=`)).map((line) => line.slice(name.length + 1))

const clean = (names: readonly string[]): string[] => [
  ...new Set(names.filter((name) => name !== '').map((name) => name.replaceAll('-', '_'))),
]

function modinfo(bytes: Buffer): Buffer {
  if (bytes.length < 64 || bytes.toString('latin1', 0, 4) !== '\u007FELF' || bytes[4] !== 2 || bytes[5] !== 1) {
    throw damaged()
  }
  const table = Number(bytes.readBigUInt64LE(40))
  const size = bytes.readUInt16LE(58)
  const count = Math.min(bytes.readUInt16LE(60), MAX_SECTIONS)
  const names = bytes.readUInt16LE(62)
  if (size < 64 || names >= count || table + size * count > bytes.length) throw damaged()
  const section = (index: number): { readonly name: number; readonly content: Buffer } => {
    const at = table + index * size
    const start = Number(bytes.readBigUInt64LE(at + 24))
    const length = Number(bytes.readBigUInt64LE(at + 32))
    return { name: bytes.readUInt32LE(at), content: bytes.subarray(start, start + length) }
  }
  const { content } = section(names)
  for (let index = 0; index < count; index++) {
    const found = section(index)
    if (content.toString('latin1', found.name, found.name + 9) === '.modinfo\0') return found.content
  }
  throw damaged()
}

function damaged(): CoveError {
  return new CoveError('kernel-invalid', 'a module of the kernel is damaged')
}
