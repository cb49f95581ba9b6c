import type { PullProgress } from '@cove/docker-engine'

const EVERY_MS = 500
const MB = 1_000_000

/** Makes a few words now and then of the many steps of a pull. */
export class PullWords {
  readonly #image: string
  readonly #say: (words: string) => void
  readonly #now: () => number
  readonly #layers = new Map<string, { current: number; total: number; done: boolean }>()
  #saidAt = Number.NEGATIVE_INFINITY
  #said = ''

  constructor(image: string, say: (words: string) => void, now: () => number = () => performance.now()) {
    this.#image = image
    this.#say = say
    this.#now = now
  }

  step({ status, layer, currentBytes, totalBytes }: PullProgress): void {
    // The first line has the tag where others have the layer.
    if (layer !== '' && !status.startsWith('Pulling from')) {
      const known = this.#layers.get(layer) ?? { current: 0, total: 0, done: false }
      if (status === 'Downloading') {
        known.current = currentBytes ?? known.current
        known.total = totalBytes ?? known.total
      } else if (/^(?:Download complete|Pull complete|Already exists)$/.test(status)) {
        known.current = known.total
        known.done = status !== 'Download complete'
      }
      this.#layers.set(layer, known)
    }
    if (this.#now() - this.#saidAt >= EVERY_MS) this.#tell()
  }

  /** The last words, whenever the ones before were said. */
  end(): void {
    this.#tell()
  }

  #tell(): void {
    const layers = [...this.#layers.values()]
    const done = layers.filter((layer) => layer.done).length
    const sum = (of: 'current' | 'total'): string => (layers.reduce((all, l) => all + l[of], 0) / MB).toFixed(1)
    const words =
      layers.length === 0
        ? `pulling ${this.#image}`
        : `pulling ${this.#image}: ${done} of ${layers.length} layers, ${sum('current')} of ${sum('total')} MB`
    if (words === this.#said) return
    this.#saidAt = this.#now()
    this.#said = words
    this.#say(words)
  }
}
