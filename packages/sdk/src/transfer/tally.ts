import type { TransferOptions, TransferSummary } from './options.ts'

/** Counts what a transfer has done, and tells whoever listens. */
export class Tally {
  readonly #options: TransferOptions
  #entries = 0
  #bytes = 0
  #skipped = 0

  constructor(options: TransferOptions) {
    this.#options = options
  }

  entry(): void {
    this.#entries++
    this.#tell()
  }

  moved(bytes: number): void {
    this.#bytes += bytes
    this.#tell()
  }

  skip(path: string, why: string): void {
    this.#skipped++
    this.#options.onSkip?.(path, why)
  }

  summary(): TransferSummary {
    return { entries: this.#entries, bytes: this.#bytes, skipped: this.#skipped }
  }

  #tell(): void {
    this.#options.onProgress?.({ entries: this.#entries, bytes: this.#bytes })
  }
}
