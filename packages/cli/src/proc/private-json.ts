import {
  closeSync,
  existsSync,
  fstatSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { CoveError } from '@cove/domain'

/**
 * Written whole and put into place, with 0600: whoever reads sees the one before or this one. On a full disk it takes
 * the room of the one before.
 */
export function writePrivateJson(file: string, value: unknown): void {
  const aside = `${file}.${process.pid}`
  const text = `${JSON.stringify(value)}\n`
  try {
    writeFileSync(aside, text, { mode: 0o600 })
    renameSync(aside, file)
  } catch (thrown) {
    rmSync(aside, { force: true })
    const error = CoveError.from(thrown, 'io-error')
    if (error.code !== 'no-space' || !existsSync(file)) throw error
    writeInPlace(file, text)
  }
}

/** In one piece, padded with blanks, which mean nothing, to the length of what was there. */
function writeInPlace(file: string, text: string): void {
  const descriptor = openSync(file, 'r+')
  try {
    const bytes = Buffer.from(text)
    const rest = Math.max(0, fstatSync(descriptor).size - bytes.length)
    writeSync(descriptor, Buffer.concat([bytes, Buffer.alloc(rest, ' ')]), 0, bytes.length + rest, 0)
  } catch (error) {
    throw CoveError.from(error, 'io-error')
  } finally {
    closeSync(descriptor)
  }
}

/** Undefined when there is no such file. `config-invalid` for what is there and holds something else. */
export function readPrivateJson<T>(file: string, parse: (fields: Fields) => T): T | undefined {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw CoveError.from(error, 'io-error')
  }
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null) throw new Error('no object')
    return parse(new Fields(value))
  } catch (cause) {
    throw new CoveError(
      'config-invalid',
      `${file} does not hold what Cove wrote there: ${cause instanceof Error ? cause.message : String(cause)}`,
      { file },
      { cause, fix: 'Remove it with `cove proc rm --force`.' },
    )
  }
}

/** Reads the members of an object, each as what it must be. */
export class Fields {
  readonly #members: Readonly<Record<string, unknown>>

  constructor(value: object) {
    this.#members = { ...value }
  }

  text(name: string): string {
    const value = this.#members[name]
    if (typeof value !== 'string') throw new Error(`${name} is no text`)
    return value
  }

  number(name: string): number {
    const value = this.#members[name]
    if (typeof value !== 'number') throw new Error(`${name} is no number`)
    return value
  }

  truth(name: string): boolean {
    const value = this.#members[name]
    if (typeof value !== 'boolean') throw new Error(`${name} is neither true nor false`)
    return value
  }

  texts(name: string): string[] {
    const value = this.#members[name]
    if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) throw new Error(`${name} is no list`)
    return value
  }

  /** An object of texts. */
  table(name: string): Record<string, string> {
    const table: Record<string, string> = {}
    for (const [key, value] of Object.entries(this.fields(name).#members)) {
      if (typeof value !== 'string') throw new Error(`${name}.${key} is no text`)
      table[key] = value
    }
    return table
  }

  fields(name: string): Fields {
    const value = this.#members[name]
    if (typeof value !== 'object' || value === null) throw new Error(`${name} is no object`)
    return new Fields(value)
  }

  /** Undefined where the member is missing. */
  maybe<T>(name: string, read: (name: string) => T): T | undefined {
    return this.#members[name] === undefined ? undefined : read(name)
  }
}
