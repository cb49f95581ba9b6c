import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Cove, type PullProgress } from '@cove/sdk'
import { TestDaemon } from './support/daemon.ts'
import { noRuntime, SmallImage } from './support/small-image.ts'

describe.skipIf(noRuntime('crun') !== undefined)('the images of a node', () => {
  let daemon: TestDaemon
  let cove: Cove
  let image: SmallImage
  beforeAll(async () => {
    image = await SmallImage.make()
    daemon = await TestDaemon.start(['--drivers', 'bubblewrap,crun'])
    cove = daemon.client()
  })
  afterAll(async () => {
    await daemon[Symbol.asyncDispose]()
    await image[Symbol.asyncDispose]()
  })

  it('are pulled with progress, listed, kept while they are needed, and pruned', async () => {
    const steps: PullProgress[] = []
    const id = await cove.images.pull(image.template, { onProgress: (step) => void steps.push(step) })
    expect(steps.length).toBeGreaterThan(0)
    const [first, ...others] = await cove.images.list()
    expect(others).toEqual([])
    expect(first).toMatchObject({ id, pins: [], inUse: false, layers: 1 })
    expect(first?.bytes).toBeGreaterThan(500_000)

    const box = await cove.sandboxes.create({ template: image.template, driver: 'crun' })
    expect((await cove.images.list())[0]).toMatchObject({ id, inUse: true })
    await expect(cove.images.delete(id)).rejects.toMatchObject({ code: 'wrong-state', fix: expect.stringMatching(/./) })
    await cove.snapshots.create(box.id, { name: 'saved' })
    await box.delete()
    await cove.images.prune()
    // The snapshot lies on it.
    await using child = await cove.sandboxes.create({ snapshot: 'saved', driver: 'crun' })
    expect((await child.run(['true'])).ok).toBe(true)
    await child.delete()
    await cove.snapshots.delete('saved')
    const pruned = await daemon.cove(['image', 'prune'])
    expect(pruned).toMatchObject({ status: 0, stdout: expect.stringMatching(/ freed\n$/) })
    expect(await cove.images.list()).toEqual([])
  })

  it('are removed by their first digits', async () => {
    const pulled = await daemon.cove(['image', 'pull', image.template])
    expect(pulled).toMatchObject({ status: 0, stdout: expect.stringMatching(/^sha256:[0-9a-f]{64}\n$/), stderr: '' })
    const shown = await daemon.cove(['image', 'ls'])
    const digits = pulled.stdout.slice('sha256:'.length, 'sha256:'.length + 12)
    expect(shown.stdout).toContain(digits)
    expect(await daemon.cove(['image', 'rm', digits])).toMatchObject({ status: 0 })
    expect(await cove.images.list()).toEqual([])
    expect((await daemon.cove(['image', 'rm', 'nonsense'])).stderr).toMatch(/^error: .*\nfix: /)
  })

  it('are for the operator; members may pull what they may use', async () => {
    const { secret } = await cove.keys.create({ name: 'builds', role: 'admin' })
    const admin = new Cove({ url: daemon.url, apiKey: secret })
    await expect(admin.images.list()).rejects.toMatchObject({ code: 'permission-denied' })
    await expect(admin.images.prune()).rejects.toMatchObject({ code: 'permission-denied' })
    await expect(admin.images.pull(image.template)).rejects.toMatchObject({ code: 'permission-denied' })
    await expect(admin.images.pull('oci:127.0.0.1:1/nothing')).rejects.toMatchObject({ code: 'registry-unavailable' })
    await expect(cove.images.pull('host')).rejects.toMatchObject({ code: 'invalid-argument' })
    await expect(cove.images.pull('directory:/nonexistent')).rejects.toMatchObject({ fix: expect.stringMatching(/./) })
    expect(await cove.images.list()).toEqual([])
  })
})
