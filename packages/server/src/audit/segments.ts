import { mkdirSync, readdirSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'

const NAME = /^audit-(\d{10})\.jsonl$/

/** The files of an audit log, numbered in the order in which they were begun. */
export class Segments {
  readonly #directory: string
  #numbers: number[]

  /** Makes the folder when it is not there. */
  constructor(directory: string) {
    this.#directory = directory
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    this.#numbers = readdirSync(directory)
      .map((name) => Number(NAME.exec(name)?.[1] ?? Number.NaN))
      .filter((number) => Number.isSafeInteger(number))
      .toSorted((a, b) => a - b)
  }

  get newest(): number | undefined {
    return this.#numbers.at(-1)
  }

  /** From the newest, or from this one, to the oldest. */
  newestFirst(from = Infinity): number[] {
    return this.#numbers.filter((number) => number <= from).toReversed()
  }

  path(number: number): string {
    return join(this.#directory, `audit-${String(number).padStart(10, '0')}.jsonl`)
  }

  /** Counts a new one in, and removes the oldest ones beyond `kept`. */
  add(number: number, kept: number): void {
    this.#numbers.push(number)
    for (const old of this.#numbers.splice(0, Math.max(0, this.#numbers.length - kept))) {
      try {
        unlinkSync(this.path(old))
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
      }
    }
  }
}
