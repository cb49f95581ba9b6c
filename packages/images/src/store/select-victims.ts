export interface ImageWeight {
  readonly number: number
  readonly layers: readonly number[]
  /** Beside its layers. */
  readonly bytes: number
  readonly usedAt: number
  /** Pinned, leased, in use or being made. */
  readonly needed: boolean
}

export interface LayerWeight {
  readonly number: number
  readonly bytes: number
  readonly madeAt: number
  /** By an image that is being fetched or made. */
  readonly needed: boolean
}

export interface Victims {
  readonly images: readonly number[]
  readonly layers: readonly number[]
  /** That go. */
  readonly bytes: number
}

/**
 * What goes so that the rest fits the budget: layers that no image has, from the oldest on; then images, the longest
 * unused first, each only when space goes with it. What is needed stays, whatever the budget.
 */
export function selectVictims(images: readonly ImageWeight[], layers: readonly LayerWeight[], budget: number): Victims {
  const gone = new Set<number>()
  const victims: ImageWeight[] = []
  const users = new Map<number, number>()
  for (const image of images) for (const layer of image.layers) users.set(layer, (users.get(layer) ?? 0) + 1)
  const weights = new Map(layers.map((layer) => [layer.number, layer]))
  let total = sum(images) + sum(layers)
  const drop = (layer: LayerWeight) => {
    gone.add(layer.number)
    total -= layer.bytes
  }
  const loose = layers.filter(({ number, needed }) => !needed && !users.has(number))
  for (const layer of loose.toSorted((a, b) => a.madeAt - b.madeAt)) if (total > budget) drop(layer)
  const byUse = images.filter(({ needed }) => !needed).toSorted((a, b) => a.usedAt - b.usedAt)
  for (const image of byUse) {
    if (total <= budget) break
    victims.push(image)
    total -= image.bytes
    for (const number of image.layers) {
      const left = (users.get(number) ?? 0) - 1
      users.set(number, left)
      const layer = weights.get(number)
      if (left === 0 && layer !== undefined && !layer.needed) drop(layer)
    }
  }
  // Going from the last used: what would cost nothing, as others keep its layers, may as well stay.
  const kept = new Set<ImageWeight>()
  for (const image of victims.toReversed()) {
    if (total + image.bytes > budget || image.layers.some((number) => gone.has(number))) continue
    kept.add(image)
    total += image.bytes
  }
  return {
    images: victims.filter((image) => !kept.has(image)).map(({ number }) => number),
    layers: [...gone],
    bytes: sum(images) + sum(layers) - total,
  }
}

function sum(things: readonly { readonly bytes: number }[]): number {
  return things.reduce((total, { bytes }) => total + bytes, 0)
}
