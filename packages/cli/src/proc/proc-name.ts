import { basename } from 'node:path'
import { CoveError } from '@cove/domain'

const NAME = /^[a-z0-9](?:[a-z0-9-]{0,48}[a-z0-9])?$/
const LONGEST_MADE = 40

export const isProcName = (name: string): boolean => NAME.test(name)

/** `invalid-argument` for what cannot name a process: names are parts of paths, of containers and perhaps of hosts. */
export function checkProcName(name: string): string {
  if (isProcName(name)) return name
  throw new CoveError(
    'invalid-argument',
    `${JSON.stringify(name.slice(0, 60))} cannot name a process`,
    { field: 'name' },
    { fix: 'Use 1 to 50 lowercase letters, digits and dashes, with no dash at an end.' },
  )
}

/** `/usr/bin/Python3.11` is `python3-11`, or with a number behind it where that is taken. */
export function nameAfter(program: string, isTaken: (name: string) => boolean): string {
  const plain = basename(program)
    .toLowerCase()
    .replace(/\.(js|mjs|cjs|ts|mts|py|sh|rb|pl)$/, '')
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, LONGEST_MADE)
    .replaceAll(/^-+|-+$/g, '')
  const base = plain === '' ? 'proc' : plain
  for (let number = 1; ; number += 1) {
    const name = number === 1 ? base : `${base}-${number}`
    if (!isTaken(name)) return name
  }
}
