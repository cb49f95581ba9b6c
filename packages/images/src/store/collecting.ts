import { CoveError, type ImageId } from '@cove/domain'
import { collect, removeAll } from './collect.ts'
import type { StoreParts } from './parts.ts'

/** Removes images, one removal after another. */
export class Collecting {
  readonly #parts: StoreParts
  readonly #budget: number
  readonly #inUse: (() => Iterable<ImageId>)[] = []
  #last: Promise<unknown> = Promise.resolve()
  #soon = false

  constructor(parts: StoreParts, budget: number) {
    this.#parts = parts
    this.#budget = budget
  }

  keep(inUse: () => Iterable<ImageId>): void {
    this.#inUse.push(inUse)
  }

  inUse(): ReadonlySet<ImageId> {
    return new Set(this.#inUse.flatMap((ask) => [...ask()]))
  }

  async collect(bytes: number = this.#budget): Promise<number> {
    return await this.#inTurn(async () => await collect(this.#parts, bytes, () => this.inUse()))
  }

  /** In the background; asked for many times at once it is done once. */
  soon(): void {
    if (this.#soon) return
    this.#soon = true
    const done = this.#inTurn(async () => {
      this.#soon = false
      await collect(this.#parts, this.#budget, () => this.inUse())
    })
    done.catch((error: unknown) => this.#parts.log.warn('images are not collected', { error: String(error) }))
  }

  async remove(id: ImageId): Promise<void> {
    await this.#inTurn(async () => {
      const { catalog } = this.#parts
      const record = catalog.image(id)
      if (record === undefined) return
      const pin = [...catalog.state.pins].find(([, image]) => image === id)?.[0]
      if (pin !== undefined) throw refused(`the image is kept as ${pin}`)
      if (catalog.isImageHeld(record) || this.inUse().has(id)) throw refused('the image is in use')
      const others = new Set(catalog.images().flatMap((image) => (image === record ? [] : image.layers)))
      const layers = new Set(record.layers.filter((number) => !others.has(number) && !catalog.isLayerHeld(number)))
      await removeAll(this.#parts, [record], { layers: [...layers] })
    })
  }

  /** Resolves when whatever was begun has ended. */
  async idle(): Promise<void> {
    await this.#last
  }

  async #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = this.#last.then(work)
    this.#last = turn.catch(() => {})
    return await turn
  }
}

function refused(why: string): CoveError {
  return new CoveError('wrong-state', why, {}, { fix: 'Remove what uses it first: sandboxes, snapshots, templates.' })
}
