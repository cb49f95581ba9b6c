import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, expect, it } from 'vitest'
import type { ImageId, ImageStore } from '@cove/domain'
import { life } from '../../test/life.ts'
import { inRoot, missingForStore, quietly, StorePlace } from '../../test/test-store.ts'
import type { Step } from './step.ts'

const missing = missingForStore()
if (missing !== undefined) console.warn(`faults of the image store: skipped, ${missing}`)

/** After one fault of so many a whole life follows. */
const GOING_ON = 6

/** What the records on the disk say, which nothing on the disk may contradict. */
function records(place: StorePlace) {
  const file = join(place.state, 'index.json')
  if (!existsSync(file)) return { layers: [], images: [] }
  return JSON.parse(readFileSync(file, 'utf8')) as {
    readonly layers: readonly { readonly number: number }[]
    readonly images: readonly { readonly number: number; readonly layers: readonly number[] }[]
  }
}

/** Nothing half-made, nothing that no record names, every image whole. */
async function isSound(place: StorePlace, store: ImageStore): Promise<void> {
  // What was going on in the background has ended.
  await store.collect(Number.MAX_SAFE_INTEGER)
  const { layers, images } = records(place)
  expect(place.names('l')).toEqual(layers.map(({ number }) => number.toString(36)).toSorted())
  expect(place.names('configs')).toEqual(images.map(({ number }) => `${number}.json`).toSorted())
  const numbers = new Set(layers.map(({ number }) => number))
  expect(images.flatMap((image) => image.layers.filter((number) => !numbers.has(number)))).toEqual([])
  for (const folder of ['work', 'trash', 'files']) expect(place.names(folder)).toEqual([])
  for (const { info } of await store.list()) {
    using lease = await store.lease(info.id)
    expect(lease.info).toEqual(info)
  }
}

/** The last who had it open is done. */
async function isSoundWhenClosed(place: StorePlace, store: ImageStore): Promise<void> {
  await isSound(place, store)
  await store[Symbol.asyncDispose]()
  expect(place.names()).toEqual(['blobs', 'configs', 'empty', 'files', 'index.json', 'l', 'trash', 'work'])
}

async function pinsOf(store: ImageStore): Promise<string[]> {
  return (await store.list()).flatMap(({ pins }) => pins)
}

/** The steps of an undisturbed life, in order. */
async function allSteps(): Promise<string[]> {
  await using place = StorePlace.fast()
  const steps: string[] = []
  await using store = await place.open({}, { sync, step: (name) => void steps.push(name) })
  await life(place, store, new Set())
  await isSound(place, store)
  return steps
}

/** Does it from one step on, the first is 1. */
function at(number: number, act: () => void | Promise<void>): Step {
  let steps = 0
  return async () => {
    if (++steps >= number) await act()
  }
}

/** A disk that many write to makes them wait for each other; what is promised is the same. */
const sync = async () => await Promise.resolve()

describe.skipIf(missing !== undefined)('the image store', () => {
  it('ended at any step has kept its word, has nothing half-made, and goes on', { timeout: 300_000 }, async () => {
    const steps = await allSteps()
    expect(steps.length).toBeGreaterThan(40)
    for (const [before, name] of steps.entries()) {
      // A file is open there, which would have to be closed; a real kill may well come then.
      if (/^(?:write|sync|rename) a file/.test(name)) continue
      const number = before + 1
      await using place = StorePlace.fast()
      const promised = new Set<string>()
      const ended = Promise.withResolvers<void>()
      // From that step on nothing happens any more in the first store, as if its process had been killed.
      const never = async () => {
        ended.resolve()
        await new Promise<never>(() => {})
      }
      const first = await place.open({}, { sync, step: at(number, never) })
      await Promise.race([life(place, first, promised), ended.promise])
      await using store = await place.open({}, { sync })
      await isSound(place, store)
      expect(await pinsOf(store)).toEqual(expect.arrayContaining([...promised]))
      if (number % GOING_ON !== 0) continue
      await life(place, store, promised)
      await isSoundWhenClosed(place, store)
    }
  })

  it('says that the disk is full at any step, is sound then, and goes on', { timeout: 300_000 }, async () => {
    const steps = await allSteps()
    for (let number = 1; number <= steps.length; number++) {
      await using place = StorePlace.fast()
      const promised = new Set<string>()
      let failed = 0
      const full = () => {
        if (failed++ === 0) throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
      }
      await using store = await place.open({}, { sync, step: at(number, full) })
      const outcome = await life(place, store, promised).then(
        () => 'no-space',
        (error: unknown) => (error as { code?: unknown }).code,
      )
      expect(outcome).toBe('no-space')
      // What is written together differs from life to life, and so does the number of steps.
      failed++
      await isSound(place, store)
      expect(await pinsOf(store)).toEqual(expect.arrayContaining([...promised]))
      if (number % GOING_ON !== 0) continue
      await life(place, store, promised)
      await isSoundWhenClosed(place, store)
    }
  })

  it('outlives the kill of its process', { timeout: 120_000 }, async () => {
    await using place = StorePlace.fast()
    for (const delayMs of [0, 20, 60, 150, 300]) {
      const program = join(import.meta.dirname, '../../test/life-child.ts')
      const child = spawn(process.execPath, [program, place.folder], { stdio: ['ignore', 'pipe', 'inherit'] })
      const lines = createInterface({ input: child.stdout })
      await once(lines, 'line')
      await new Promise((resolve) => setTimeout(resolve, delayMs))
      child.kill('SIGKILL')
      await once(child, 'exit')
      await using store = await place.open()
      await isSound(place, store)
      await life(place, store, new Set())
      await isSound(place, store)
      expect(await pinsOf(store)).toContain('grown')
    }
  })

  it('forgets what may not have reached the disk before the machine crashed, unless it was promised', async () => {
    await using place = StorePlace.fast()
    {
      await using store = await place.open()
      await life(place, store, new Set())
      using _loose = await store.fetch(`tar:${place.tar('late.tar', { late: 'x' })}`, quietly())
    }
    const file = join(place.state, 'index.json')
    const index = JSON.parse(readFileSync(file, 'utf8')) as { layers: { unsynced?: string }[] }
    const last = index.layers.at(-1)
    if (last !== undefined) last.unsynced = 'another boot'
    writeFileSync(file, JSON.stringify(index))
    await using store = await place.open()
    await isSound(place, store)
    expect(await pinsOf(store)).toEqual(['grown'])
    const kept = (await store.list()).filter(({ pins }) => pins.includes('grown'))
    using lease = await store.lease(kept.map(({ info }) => info.id).join() as ImageId)
    expect(await inRoot(place, lease.root, 'cat etc/new')).toBe('n')
  })

  it('refuses records that it never wrote, and touches nothing', async () => {
    await using place = StorePlace.fast()
    await (await place.open())[Symbol.asyncDispose]()
    for (const [text, code] of [
      ['{', 'store-corrupt'],
      ['{"version":99}', 'store-too-new'],
      ['{"version":1}', 'store-corrupt'],
    ] as const) {
      writeFileSync(join(place.state, 'index.json'), text)
      await expect(place.open()).rejects.toMatchObject({ code })
      expect(readFileSync(join(place.state, 'index.json'), 'utf8')).toBe(text)
    }
  })
})
