import { CoveError } from './errors/cove-error.ts'

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  k: 1024,
  kb: 1000,
  kib: 1024,
  m: 1024 ** 2,
  mb: 1000 ** 2,
  mib: 1024 ** 2,
  g: 1024 ** 3,
  gb: 1000 ** 3,
  gib: 1024 ** 3,
  t: 1024 ** 4,
  tb: 1000 ** 4,
  tib: 1024 ** 4,
}

/** Bytes in `512MiB`, `1.5g`, `4096`. Single letters are binary, as in other container tools. */
export function parseBytes(text: string, field = 'size'): number {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text)
  const unit = match === null ? undefined : UNITS[(match[2] ?? '').toLowerCase()]
  const bytes = match === null || unit === undefined ? Number.NaN : Math.round(Number(match[1]) * unit)
  if (!Number.isSafeInteger(bytes)) {
    throw new CoveError(
      'invalid-argument',
      `${field} ${JSON.stringify(text.slice(0, 40))} is not a size`,
      { field },
      {
        fix: 'Write a number of bytes, with a unit if you like: 512MiB, 1.5g, 4096.',
      },
    )
  }
  return bytes
}

/** At most one decimal, binary units. */
export function formatBytes(bytes: number): string {
  let value = bytes
  let unit = 'B'
  for (const next of ['KiB', 'MiB', 'GiB', 'TiB']) {
    if (value < 1024) break
    value /= 1024
    unit = next
  }
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${unit}`
}
