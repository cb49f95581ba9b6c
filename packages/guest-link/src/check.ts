import { CoveError } from '@cove/domain'
import { MAX_NAME_BYTES, MAX_PATH_BYTES } from './wire/tags.ts'

/** Checks of what callers ask for, before any of it is sent. */

/** Absolute, at most 4,095 bytes, no NUL, no name over 255 bytes; else `path-invalid`. */
export function checkPath(path: string): string {
  if (!path.startsWith('/')) throw badPath('is not absolute')
  checkPathText(path)
  for (const name of path.split('/')) {
    if (Buffer.byteLength(name) > MAX_NAME_BYTES) throw badPath(`has a name over ${MAX_NAME_BYTES} bytes`)
  }
  return path
}

/** The target of a link may be relative and need not exist. */
export function checkLinkTarget(target: string): string {
  if (target === '') throw badPath('is empty')
  checkPathText(target)
  return target
}

function checkPathText(path: string): void {
  if (path.length > MAX_PATH_BYTES || Buffer.byteLength(path) > MAX_PATH_BYTES) {
    throw badPath(`is longer than ${MAX_PATH_BYTES} bytes`)
  }
  if (path.includes('\0')) throw badPath('has a NUL in it')
  if (!path.isWellFormed()) throw badPath('is not Unicode')
}

function badPath(problem: string): CoveError {
  return new CoveError('path-invalid', `the path ${problem}`, { field: 'path' })
}

/** Text without NUL, as the kernel takes it. */
export function checkText(field: string, text: string): string {
  if (text.includes('\0')) throw invalid(field, 'has a NUL in it')
  if (!text.isWellFormed()) throw invalid(field, 'is not Unicode')
  return text
}

export function checkWhole(field: string, value: number, from: number, to: number): number {
  if (!Number.isInteger(value) || value < from || value > to) {
    throw invalid(field, `is not a whole number from ${from} to ${to}`)
  }
  return value
}

/** `K=V` for every entry; a name is not empty and has no `=`. */
export function checkEnv(env: Readonly<Record<string, string>>): string[] {
  return Object.entries(env).map(([name, value]) => {
    if (name === '' || name.includes('=')) throw invalid('env', `has the name ${JSON.stringify(name.slice(0, 80))}`)
    return `${checkText('env', name)}=${checkText('env', value)}`
  })
}

export function invalid(field: string, problem: string): CoveError {
  return new CoveError('invalid-argument', `${field} ${problem}`, { field })
}
