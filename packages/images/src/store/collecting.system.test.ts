/* oxlint-disable vitest/no-standalone-expect -- what is expected of a story is told step by step in its class */
import { execFileSync } from 'node:child_process'
import { utimesSync, writeFileSync } from 'node:fs'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ImageId, ImageLease, ImageStore } from '@cove/domain'
import { missingForStore, quietly, StorePlace } from '../../test/test-store.ts'
import { tarBytes, TestImage } from '../testing/index.ts'

const missing = missingForStore()
if (missing !== undefined) console.warn(`what is collected: skipped, ${missing}`)

/** A disk that many write to makes them wait for each other; what is promised is the same. */
const sync = async () => await Promise.resolve()

type Act = { readonly image: number } & {
  readonly act: 'fetch' | 'release' | 'pin' | 'unpin' | 'use' | 'unuse' | 'collect' | 'remove' | 'reopen'
}

const acts = fc.array(
  fc.record({
    act: fc.constantFrom<Act['act']>('fetch', 'release', 'pin', 'unpin', 'use', 'unuse', 'collect', 'remove', 'reopen'),
    image: fc.nat(3),
  }),
  { minLength: 5, maxLength: 25 },
)

/** Four images, of which two and two share a layer. */
function someImages(): TestImage[] {
  return [0, 1, 2, 3].map((at) => new TestImage({ layers: [oneFile(`base${at >> 1}`), oneFile(`own${at}`)] }))
}

const oneFile = (name: string): Buffer => tarBytes([{ name, content: name.repeat(500) }])

/** A store, and what is expected of it. */
class Story implements AsyncDisposable {
  readonly #place = StorePlace.fast()
  readonly #images = someImages()
  readonly #leases = new Map<number, ImageLease[]>()
  readonly #pins = new Set<number>()
  readonly #used = new Set<number>()
  readonly #here = new Set<number>()
  #store: ImageStore | undefined

  async step({ act, image }: Act): Promise<void> {
    const store = (this.#store ??= await this.#open())
    const id = this.#id(image)
    switch (act) {
      case 'fetch': {
        const lease = await store.fetch(`oci-layout:${this.#images[image]?.folder ?? ''}`, quietly())
        expect(lease.info.id).toBe(id)
        this.#leases.set(image, [...(this.#leases.get(image) ?? []), lease])
        this.#here.add(image)
        return
      }
      case 'release':
        for (const lease of this.#leases.get(image) ?? []) lease[Symbol.dispose]()
        this.#leases.delete(image)
        return
      case 'pin':
        if (!this.#here.has(image)) return
        await store.pin(`pin ${image}`, id)
        this.#pins.add(image)
        return
      case 'unpin':
        await store.unpin(`pin ${image}`)
        this.#pins.delete(image)
        return
      case 'use':
        if (this.#here.has(image)) this.#used.add(image)
        return
      case 'unuse':
        this.#used.delete(image)
        return
      case 'collect':
        await store.collect(0)
        // What costs nothing beside what has to stay may stay; everything else has gone.
        for (const one of this.#here) if (!this.#isNeeded(one)) this.#here.delete(one)
        return
      case 'remove':
        if (this.#here.has(image) && this.#isNeeded(image)) {
          await expect(store.remove(id)).rejects.toMatchObject({ code: 'wrong-state' })
          return
        }
        await store.remove(id)
        this.#here.delete(image)
        return
      case 'reopen':
        for (const leases of this.#leases.values()) for (const lease of leases) lease[Symbol.dispose]()
        this.#leases.clear()
        await store[Symbol.asyncDispose]()
        this.#store = await this.#open()
    }
  }

  /** The store and the folder have exactly what is expected. */
  async check(): Promise<void> {
    const stored = (await this.#store?.list()) ?? []
    expect(stored.map(({ info }) => info.id).toSorted()).toEqual([...this.#here].map((at) => this.#id(at)).toSorted())
    expect(this.#place.names('configs')).toHaveLength(this.#here.size)
    const pins = stored.flatMap((one) => one.pins).toSorted()
    expect(pins).toEqual([...this.#pins].map((at) => `pin ${at}`).toSorted())
    for (const { info } of stored) {
      using lease = (await this.#store?.lease(info.id)) ?? expect.fail('closed')
      const folders = lease.root.kind === 'layers' ? lease.root.lower : []
      expect(execFileSync('ls', folders).toString()).toContain('own')
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#store?.[Symbol.asyncDispose]()
    for (const image of this.#images) image[Symbol.dispose]()
    await this.#place[Symbol.asyncDispose]()
  }

  async #open(): Promise<ImageStore> {
    const store = await this.#place.open({}, { sync })
    store.keep(() => [...this.#used].map((image) => this.#id(image)))
    return store
  }

  #id(image: number): ImageId {
    return (this.#images[image]?.configDigest ?? '') as ImageId
  }

  #isNeeded(image: number): boolean {
    return this.#pins.has(image) || this.#used.has(image) || (this.#leases.get(image)?.length ?? 0) > 0
  }
}

describe.skipIf(missing !== undefined)('the image store', () => {
  it('has exactly what is needed and what fits, whatever happens in whatever order', { timeout: 240_000 }, async () => {
    const told = fc.assert(
      fc.asyncProperty(acts, async (story) => {
        await using teller = new Story()
        for (const act of story) {
          await teller.step(act)
          await teller.check()
        }
      }),
      { numRuns: 12 },
    )
    await expect(told).resolves.toBeUndefined()
  })

  it('collects by itself what has been unused longest, once there is more than the budget', async () => {
    await using place = StorePlace.fast()
    using one = new TestImage({ layers: [tarBytes([{ name: 'a', content: 'x'.repeat(40_000) }])] })
    using two = new TestImage({ layers: [tarBytes([{ name: 'b', content: 'y'.repeat(40_000) }])] })
    using three = new TestImage({ layers: [tarBytes([{ name: 'c', content: 'z'.repeat(40_000) }])] })
    await using store = await place.open({ budgetBytes: 100_000 }, { sync })
    for (const image of [one, two, one, three]) {
      using lease = await store.fetch(`oci-layout:${image.folder}`, quietly())
      expect(lease.info.id).toBe(image.configDigest)
    }
    const here = async () => (await store.list()).map(({ info }) => info.id as string).toSorted()
    await expect.poll(here).toEqual([one.configDigest, three.configDigest].toSorted())
  })

  it('lets nobody else enter its folder', async () => {
    await using place = StorePlace.fast()
    await using store = await place.open()
    using image = new TestImage({ layers: [tarBytes([{ name: 'a', content: 'x' }])] })
    using lease = await store.fetch(`oci-layout:${image.folder}`, quietly())
    await store.pin('x', lease.info.id)
    // Layers and the layer of nothing have the modes that machines are to see.
    const open = ['-not', '-path', `${place.state}/l/*`, '-not', '-path', `${place.state}/empty`, '-perm', '/077']
    expect(execFileSync('find', [place.state, ...open]).toString()).toBe('')
    expect(execFileSync('find', [place.state, '-type', 'f']).toString().split('\n').length).toBeGreaterThan(3)
  })

  it('counts what is left of broken pulls, and takes that first', async () => {
    await using place = new StorePlace()
    await using store = await place.open()
    using image = new TestImage({ layers: [oneFile('kept')] })
    using lease = await store.fetch(`oci-layout:${image.folder}`, quietly())
    const names = ['1', '2'].map((digit) => `sha256-${digit.repeat(64)}.part`)
    for (const [at, name] of names.entries()) {
      const file = `${place.state}/blobs/${name}`
      writeFileSync(file, Buffer.alloc(1_000_000))
      utimesSync(file, new Date(), new Date(Date.now() - 60_000 * (at + 1)))
    }
    const half = () => place.names('blobs').filter((name) => name.endsWith('.part'))
    expect(await store.collect(3_000_000)).toBe(0)
    expect(half()).toEqual(names)
    expect(await store.collect(1_500_000)).toBe(1_000_000)
    expect(half()).toEqual(names.slice(0, 1))
    expect(await store.collect(0)).toBe(1_000_000)
    expect(half()).toEqual([])
    expect((await store.list()).map(({ info }) => info.id)).toEqual([lease.info.id])
  })
})
