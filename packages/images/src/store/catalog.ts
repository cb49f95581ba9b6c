import { CoveError, type ImageId } from '@cove/domain'
import { Holds, type Hold } from './holds.ts'
import type { IndexFile } from './index-file.ts'
import { draftOf, dropImage, type Draft, type ImageRecord, type LayerRecord, type State } from './records.ts'

interface Change {
  readonly apply: (draft: Draft) => void
  readonly done: (error: unknown) => void
}

/**
 * What the store has, in memory and in its file. A change counts once the file has it; changes that come together are
 * written together. What is being removed is not there any more for anybody.
 */
export class Catalog {
  #state: State
  readonly #file: IndexFile
  readonly #waiting: Change[] = []
  #writing = false
  #next: number
  /** Uses since the file was written last; they are worth no write of their own. */
  readonly #used = new Map<ImageId, number>()
  #lastUse = 0
  readonly #goneImages = new Set<number>()
  readonly #goneLayers = new Set<number>()
  readonly #imageHolds = new Holds<number>()
  readonly #layerHolds = new Holds<number>()
  readonly #blobHolds = new Holds<string>()
  readonly #byKey = new Map<string, number>()

  constructor(state: State, file: IndexFile) {
    this.#state = state
    this.#file = file
    this.#next = state.next
    this.#rebuild()
  }

  get state(): State {
    return this.#state
  }

  /** Names something new; never given twice, over restarts either: numbers of what was not finished are swept first. */
  number(): number {
    return this.#next++
  }

  image(id: ImageId): ImageRecord | undefined {
    const record = this.#state.images.get(id)
    return record === undefined || this.#goneImages.has(record.number) ? undefined : record
  }

  images(): ImageRecord[] {
    return [...this.#state.images.values()].filter(({ number }) => !this.#goneImages.has(number))
  }

  layers(): LayerRecord[] {
    return [...this.#state.layers.values()].filter(({ number }) => !this.#goneLayers.has(number))
  }

  /** True when the file still has what has been hidden. */
  get isBehind(): boolean {
    const { images, layers } = this.#state
    return (
      images.values().some(({ number }) => this.#goneImages.has(number)) ||
      layers.keys().some((number) => this.#goneLayers.has(number))
    )
  }

  layer(number: number): LayerRecord {
    const record = this.#state.layers.get(number)
    if (record === undefined) throw new CoveError('internal', `there is no layer ${number}`)
    return record
  }

  /** The layer with this key, held. */
  holdLayer(key: string): { readonly record: LayerRecord; readonly hold: Hold } | undefined {
    const number = this.#byKey.get(key)
    if (number === undefined || this.#goneLayers.has(number)) return undefined
    return { record: this.layer(number), hold: this.#layerHolds.take(number) }
  }

  holdLayerNumber(number: number): Hold {
    return this.#layerHolds.take(number)
  }

  holdBlob(digest: string): Hold {
    return this.#blobHolds.take(digest)
  }

  isBlobHeld(digest: string): boolean {
    return this.#blobHolds.has(digest)
  }

  holdImage(record: ImageRecord): Hold {
    return this.#imageHolds.take(record.number)
  }

  isImageHeld(record: ImageRecord): boolean {
    return this.#imageHolds.has(record.number)
  }

  isLayerHeld(number: number): boolean {
    return this.#layerHolds.has(number)
  }

  isHidden(record: ImageRecord): boolean {
    return this.#goneImages.has(record.number)
  }

  isLayerHidden(number: number): boolean {
    return this.#goneLayers.has(number)
  }

  used(id: ImageId, at: number): void {
    // Of two in the same millisecond the later one is the later one.
    this.#lastUse = Math.max(at, this.#lastUse + 1)
    this.#used.set(id, this.#lastUse)
  }

  usedAt(record: ImageRecord): number {
    return Math.max(record.usedAt, this.#used.get(record.info.id) ?? 0)
  }

  /** From now on nobody gets these, and the next write forgets them. Whether one is held has been asked before. */
  hide(images: readonly ImageRecord[], layers: readonly number[]): void {
    for (const record of images) this.#goneImages.add(record.number)
    for (const number of layers) this.#goneLayers.add(number)
  }

  /** Resolves when the change is on the disk; nothing has changed when it rejects. `apply` throws before it changes. */
  async update(apply: (draft: Draft) => void): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#waiting.push({ apply, done: (error) => (error === undefined ? resolve() : reject(CoveError.from(error))) })
    if (!this.#writing) void this.#write()
    await promise
  }

  async #write(): Promise<void> {
    this.#writing = true
    // Whoever asks in the same moment is written along.
    await Promise.resolve()
    while (this.#waiting.length > 0) {
      const draft = draftOf(this.#state)
      const applied = this.#waiting.splice(0).filter((change) => applies(change, draft))
      if (applied.length === 0) continue
      let failure: unknown
      try {
        this.#settle(draft)
        await this.#file.save(draft)
        this.#state = draft
        this.#rebuild()
      } catch (error) {
        failure = error
        // It may be in place and not known to be on the disk; what it tells of will not be there.
        await this.#file.save(this.#state).catch(() => {})
      }
      for (const { done } of applied) done(failure)
    }
    this.#writing = false
  }

  #settle(draft: Draft): void {
    draft.next = this.#next
    for (const number of this.#goneLayers) draft.layers.delete(number)
    for (const { number, info } of draft.images.values()) if (this.#goneImages.has(number)) dropImage(draft, info.id)
    for (const [id, usedAt] of this.#used) {
      const record = draft.images.get(id)
      if (record !== undefined && record.usedAt < usedAt) draft.images.set(id, Object.assign({}, record, { usedAt }))
    }
  }

  #rebuild(): void {
    this.#byKey.clear()
    for (const { key, number } of this.#state.layers.values()) {
      if (!this.#goneLayers.has(number)) this.#byKey.set(key, number)
    }
  }
}

function applies(change: Change, draft: Draft): boolean {
  try {
    change.apply(draft)
    return true
  } catch (error) {
    change.done(error)
    return false
  }
}
