import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Cove } from '@cove/sdk'
import { TestDaemon } from './support/daemon.ts'

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
