import { createHash } from 'node:crypto'
import { arch } from 'node:os'
import {
  CoveError,
  parseImageId,
  type BuildStep,
  type Clock,
  type ImageId,
  type ImageLease,
  type ImageStore,
  type Store,
} from '@cove/domain'

const PREFIX = 'build-cache/'
const VERSION = 1
const KEPT = 5_000
/** Removed at once when there are too many, so that not every new one counts them all. */
const SLACK = 500

/** Which image a step made of which: so that the same step over the same image is not done again. */
export class StepCache {
  readonly #store: Store
  readonly #images: ImageStore
  readonly #clock: Clock
  #added = 0

  constructor(store: Store, images: ImageStore, clock: Clock) {
    this.#store = store
    this.#images = images
    this.#clock = clock
  }

  /** The image that came of it, when it is still here. */
  async find(parent: ImageId | 'host', step: BuildStep): Promise<ImageLease | undefined> {
    const key = keyOf(parent, step)
    const item = await this.#store.get(key)
    const image = item === undefined ? undefined : decode(item.value)
    if (image === undefined) return undefined
    try {
      const lease = await this.#images.lease(image)
      await this.#put(key, image)
      return lease
    } catch (thrown) {
      if (!(thrown instanceof CoveError) || thrown.code !== 'image-not-found') throw thrown
      await this.#store.txn([], [{ type: 'delete', key }])
      return undefined
    }
  }

  async keep(parent: ImageId | 'host', step: BuildStep, image: ImageId): Promise<void> {
    await this.#put(keyOf(parent, step), image)
    this.#added++
    if (this.#added % SLACK === 1) await this.#prune()
  }

  async #put(key: string, image: ImageId): Promise<void> {
    const value = Buffer.from(JSON.stringify({ v: VERSION, image, at: this.#clock.now() }))
    await this.#store.txn([], [{ type: 'put', key, value }])
  }

  async #prune(): Promise<void> {
    const all: { readonly key: string; readonly at: number }[] = []
    let page = await this.#store.range({ prefix: PREFIX })
    for (;;) {
      for (const { key, value } of page.items) all.push({ key, at: usedAt(value) })
      const after = page.items.at(-1)?.key
      if (!page.more || after === undefined) break
      page = await this.#store.range({ prefix: PREFIX, after, revision: page.revision })
    }
    if (all.length <= KEPT) return
    const old = all.toSorted((one, other) => one.at - other.at).slice(0, all.length - KEPT + SLACK)
    for (let from = 0; from < old.length; from += 100) {
      await this.#store.txn(
        [],
        old.slice(from, from + 100).map(({ key }) => ({ type: 'delete', key })),
      )
    }
  }
}

function keyOf(parent: ImageId | 'host', step: BuildStep): string {
  const hash = createHash('sha256').update(JSON.stringify([VERSION, parent, arch(), ordered(step)]))
  return PREFIX + hash.digest('hex')
}

/** The same for the same step, whatever the order in which its fields were written. */
function ordered(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(ordered)
  return Object.entries(value)
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
    .map(([key, inner]) => [key, ordered(inner)])
}

function fields(value: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    const record: unknown = JSON.parse(Buffer.from(value).toString('utf8'))
    return typeof record === 'object' && record !== null ? (record as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

/** A record that cannot be read is no reason to fail: the step is done again. */
function decode(value: Uint8Array): ImageId | undefined {
  const { v, image } = fields(value)
  try {
    return v === VERSION && typeof image === 'string' ? parseImageId(image) : undefined
  } catch {
    return undefined
  }
}

function usedAt(value: Uint8Array): number {
  const { at } = fields(value)
  return typeof at === 'number' ? at : 0
}
