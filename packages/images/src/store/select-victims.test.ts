import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { selectVictims, type ImageWeight, type LayerWeight } from './select-victims.ts'

const layer = (number: number, bytes: number, needed = false): LayerWeight => ({
  number,
  bytes,
  madeAt: number,
  needed,
})
const image = (number: number, layers: number[], usedAt: number, needed = false): ImageWeight => {
  return { number, layers, bytes: 0, usedAt, needed }
}

const weigh = (things: readonly { readonly bytes: number }[]): number => {
  return things.reduce((sum, { bytes }) => sum + bytes, 0)
}

describe('what is collected', () => {
  it('is nothing while all fits', () => {
    expect(selectVictims([image(1, [1], 1)], [layer(1, 10), layer(2, 5)], 15)).toEqual({
      images: [],
      layers: [],
      bytes: 0,
    })
  })

  it('is the longest unused, and first what no image has', () => {
    const images = [image(1, [1], 30), image(2, [2], 10), image(3, [3], 20)]
    const layers = [layer(1, 10), layer(2, 10), layer(3, 10), layer(4, 10)]
    expect(selectVictims(images, layers, 35)).toEqual({ images: [], layers: [4], bytes: 10 })
    expect(selectVictims(images, layers, 25)).toEqual({ images: [2], layers: [4, 2], bytes: 20 })
    expect(selectVictims(images, layers, 0)).toEqual({ images: [2, 3, 1], layers: [4, 2, 3, 1], bytes: 40 })
  })

  it('is no image whose space would not come back', () => {
    const images = [image(1, [1], 10), image(2, [1, 2], 20, true), image(3, [3], 30)]
    const layers = [layer(1, 10), layer(2, 10), layer(3, 10)]
    expect(selectVictims(images, layers, 20)).toEqual({ images: [3], layers: [3], bytes: 10 })
  })

  it('is always enough and never too much', () => {
    const arbitrary = fc.record({
      layers: fc.array(fc.record({ bytes: fc.nat(100), needed: fc.boolean() }), { maxLength: 12 }),
      images: fc.array(
        fc.record({
          layers: fc.uniqueArray(fc.nat(11), { maxLength: 5 }),
          bytes: fc.nat(20),
          usedAt: fc.nat(50),
          needed: fc.boolean(),
        }),
        { maxLength: 8 },
      ),
      budget: fc.nat(800),
    })
    fc.assert(
      fc.property(arbitrary, ({ layers: some, images: given, budget }) => {
        const layers = some.map((weight, number) => ({ number, madeAt: number, ...weight }))
        const images = given.map((weight, number) => {
          return { number, ...weight, layers: weight.layers.filter((at) => at < layers.length) }
        })
        const gone = selectVictims(images, layers, budget)
        const left = images.filter(({ number }) => !gone.images.includes(number))
        const leftLayers = layers.filter(({ number }) => !gone.layers.includes(number))
        // What stays is whole, what is needed stays, and the count is right.
        expect(left.flatMap((one) => one.layers.filter((at) => gone.layers.includes(at)))).toEqual([])
        expect(images.filter(({ needed, number }) => needed && gone.images.includes(number))).toEqual([])
        expect(layers.filter(({ needed, number }) => needed && gone.layers.includes(number))).toEqual([])
        const after = weigh(left) + weigh(leftLayers)
        expect(gone.bytes).toBe(weigh(images) + weigh(layers) - after)
        // Over the budget only by what is needed.
        const needed = new Set(left.filter((one) => one.needed).flatMap((one) => one.layers))
        const excess = leftLayers.filter((one) => !one.needed && !needed.has(one.number))
        expect(after <= budget || (left.every((one) => one.needed) && excess.length === 0)).toBe(true)
        // Nothing goes while all fits.
        expect(weigh(images) + weigh(layers) > budget || gone.bytes === 0).toBe(true)
      }),
    )
  })
})
