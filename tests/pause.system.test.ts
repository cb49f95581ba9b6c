import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Cove, CreateOptions } from '@cove/sdk'
import { TestDaemon } from './support/daemon.ts'
import { noRuntime } from './support/small-image.ts'

// An ordinary user has no freezer of control groups here.
describe.runIf(process.getuid?.() === 0)('a paused sandbox', () => {
  let daemon: TestDaemon
  let cove: Cove
  beforeAll(async () => {
    daemon = await TestDaemon.start()
    cove = daemon.client()
  })
  afterEach(async () => {
    for await (const { id } of cove.sandboxes.list()) await cove.sandboxes.delete(id)
  })
  afterAll(() => daemon[Symbol.asyncDispose]())

  const TICKER = 'i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done'

  it('does nothing until it is resumed, and then goes on where it was', async () => {
    const box = await cove.sandboxes.create({ name: 'box' })
    const ticker = await box.start(['sh', '-c', TICKER])
    const lines: number[] = []
    const reading = (async () => {
      for await (const data of ticker.stdout) lines.push(...String(Buffer.from(data)).trim().split('\n').map(Number))
    })()
    await expect.poll(() => lines.length).toBeGreaterThan(5)
    expect(await box.pause()).toMatchObject({ state: 'paused' })
    const before = lines.length
    const stats = await box.stats()
    await new Promise((resolve) => setTimeout(resolve, 500))
    expect(lines.length - before).toBeLessThanOrEqual(1)
    expect((await box.stats()).cpuMs).toBe(stats.cpuMs)
    await expect(box.run(['true'])).rejects.toMatchObject({ code: 'wrong-state' })
    expect(await box.resume()).toMatchObject({ state: 'running' })
    await expect.poll(() => lines.length).toBeGreaterThan(before + 5)
    await ticker.kill()
    await reading
    expect(lines).toEqual(lines.map((_, index) => index + 1))
  })

  it('is paused and resumed twice without harm, and deleted as it is', async () => {
    const box = await cove.sandboxes.create()
    await box.pause()
    expect((await box.pause()).state).toBe('paused')
    await box.resume()
    expect((await box.resume()).state).toBe('running')
    await box.pause()
    await box.delete()
    await expect(box.resume()).rejects.toMatchObject({
      code: expect.stringMatching(/sandbox-(gone|not-found|deleted)/),
    })
  })

  it('burns neither its idle time nor its lifetime, unless that was asked for', async () => {
    const lifetime = { lifetime: 3_000, idleTimeout: 1_500 } as const
    const still = await cove.sandboxes.create(lifetime)
    const burning = await cove.sandboxes.create({ lifetime: 3_000 })
    await still.pause()
    await burning.pause({ burnLifetime: true })
    await expect
      .poll(
        () =>
          burning.refresh().then(
            ({ state }) => state,
            () => 'gone',
          ),
        { timeout: 15_000 },
      )
      .not.toBe('paused')
    expect((await still.refresh()).state).toBe('paused')
    await still.resume()
    expect((await still.run(['echo', 'here'])).stdout).toBe('here\n')
    await expect
      .poll(
        () =>
          still.refresh().then(
            ({ state }) => state,
            () => 'gone',
          ),
        { timeout: 15_000 },
      )
      .not.toBe('running')
  })

  it('is still paused after the daemon was killed, with its process', async () => {
    const box = await cove.sandboxes.create({ name: 'box' })
    await box.start(['sh', '-c', `${TICKER} > /home/user/ticks`.replace('echo $i;', 'echo $i >> /home/user/ticks;')])
    await box.run(['sh', '-c', 'until [ -s /home/user/ticks ]; do sleep 0.02; done'])
    await box.pause()
    await daemon.end('SIGKILL')
    await daemon.start()
    cove = daemon.client()
    const found = await cove.sandboxes.get('box')
    expect(found.info).toMatchObject({ state: 'paused', incarnation: 1 })
    await found.resume()
    const size = (await found.files.stat('/home/user/ticks')).size
    await expect.poll(async () => (await found.files.stat('/home/user/ticks')).size).toBeGreaterThan(size)
  })

  it('is one or the other when the daemon is killed in the middle of a pause', async () => {
    const box = await cove.sandboxes.create({ name: 'box' })
    for (let round = 0; round < 3; round++) {
      const cut = cove.sandboxes.pause('box').catch(() => undefined)
      await new Promise((resolve) => setTimeout(resolve, round * 3))
      await daemon.end('SIGKILL')
      await cut
      await daemon.start()
      cove = daemon.client()
      await expect
        .poll(async () => (await cove.sandboxes.get(box.id)).info.state, { timeout: 20_000 })
        .toMatch(/^(running|paused)$/)
      const found = await cove.sandboxes.get(box.id)
      if (found.info.state === 'paused') await found.resume()
      expect((await found.run(['echo', 'here'])).stdout).toBe('here\n')
    }
  })
})

describe('a sandbox that is paused to disk', () => {
  const missing = noRuntime('runsc')
  let daemon: TestDaemon
  let cove: Cove
  beforeAll(async () => {
    if (missing !== undefined) return
    daemon = await TestDaemon.start(['--drivers', 'bubblewrap,gvisor'])
    cove = daemon.client()
  })
  afterAll(async () => {
    if (missing !== undefined) return
    await daemon[Symbol.asyncDispose]()
  })
  const saved = () => readdirSync(join(daemon.dataDir, 'drivers/gvisor/snapshots'))
  const make = (options: CreateOptions = {}) => cove.sandboxes.create({ driver: 'gvisor', ...options })
  const COUNTER = 'i=0; while :; do i=$((i+1)); echo $i; echo $i > /tmp/count; sleep 0.05; done'

  it(
    'uses nothing, and goes on where it was with its processes, their output and its files',
    { timeout: 180_000 },
    async (context) => {
      if (missing !== undefined) context.skip(missing)
      const box = await make({ name: 'box' })
      await box.files.write('/home/user/note', 'kept')
      const counter = await box.start(['sh', '-c', COUNTER])
      await box.run(['sh', '-c', 'until [ -s /tmp/count ]; do sleep 0.05; done'])
      for (const round of [1, 2]) {
        expect(await box.pause({ toDisk: true })).toMatchObject({ state: 'paused', pausedToDisk: true, incarnation: 1 })
        expect(saved()).toHaveLength(1)
        await expect(box.run(['true'])).rejects.toMatchObject({ code: 'wrong-state' })
        if (round === 2) {
          await daemon.end('SIGKILL')
          await daemon.start()
          cove = daemon.client()
        }
        const again = await cove.sandboxes.resume('box')
        expect(again).toMatchObject({ state: 'running', pausedToDisk: false, incarnation: 1 })
        const found = await cove.sandboxes.get('box')
        const at = Number(await found.files.readText('/tmp/count'))
        await expect.poll(async () => Number(await found.files.readText('/tmp/count'))).toBeGreaterThan(at)
        expect((await found.processes.list()).map(({ id }) => id)).toContain(counter.id)
        expect(await found.files.readText('/home/user/note')).toBe('kept')
        expect((await found.run(['hostname'])).stdout).toBe('box\n')
      }
      await cove.sandboxes.stop('box')
      await cove.sandboxes.start('box')
      expect(await (await cove.sandboxes.get('box')).files.readText('/home/user/note')).toBe('kept')
      await cove.sandboxes.delete('box')
    },
  )

  it('wakes when it is used, if it may, and pauses again when nobody does', async (context) => {
    if (missing !== undefined) context.skip(missing)
    const box = await make({ idleTimeout: 1_500, onIdle: 'pause' })
    await box.files.write('/home/user/note', 'kept')
    for (let round = 0; round < 2; round++) {
      await expect.poll(async () => (await box.refresh()).pausedToDisk, { timeout: 20_000 }).toBe(true)
      expect(await box.files.readText('/home/user/note')).toBe('kept')
      expect((await box.refresh()).state).toBe('running')
    }
    await box.delete()
  })

  it(
    'is there, running or paused, when the daemon is killed at any moment of it',
    { timeout: 180_000 },
    async (context) => {
      if (missing !== undefined) context.skip(missing)
      const box = await make({ autoResume: true })
      await box.files.write('/home/user/note', 'kept')
      for (const delay of [5, 60, 150]) {
        const cut = cove.sandboxes.pause(box.id, { toDisk: true }).catch(() => undefined)
        await new Promise((resolve) => setTimeout(resolve, delay))
        await daemon.end('SIGKILL')
        await cut
        await daemon.start()
        cove = daemon.client()
        const found = await cove.sandboxes.get(box.id)
        expect(await found.files.readText('/home/user/note')).toBe('kept')
        expect(found.info.incarnation).toBe(1)
      }
      await cove.sandboxes.delete(box.id)
      await expect.poll(saved).toEqual([])
    },
  )
})

it('a sandbox whose driver saves no memory is refused a pause to disk, and runs on', async () => {
  await using daemon = await TestDaemon.start()
  const box = await daemon.client().sandboxes.create({ name: 'box' })
  await expect(box.pause({ toDisk: true })).rejects.toMatchObject({ code: 'unsupported', fix: 'Pause it in memory.' })
  expect((await box.run(['echo', 'here'])).stdout).toBe('here\n')
})
