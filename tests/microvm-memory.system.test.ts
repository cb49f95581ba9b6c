import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Template, type Cove, type Sandbox } from '@cove/sdk'
import { noQemu } from '../packages/drivers/test/support/qemu-rig.ts'
import { TestDaemon } from './support/daemon.ts'
import { SmallImage } from './support/small-image.ts'

if (noQemu !== undefined) console.log(`skipped: virtual machines over the API: ${noQemu}`)

/** Where the tests have theirs, if they have any of their own. */
const KERNELS = process.env['COVE_TEST_KERNELS'] === undefined ? [] : ['--kernel-dir', process.env['COVE_TEST_KERNELS']]
const MiB = 1024 * 1024
const limits = { memoryBytes: 128 * MiB }
const COUNT = 'i=0; while :; do i=$((i+1)); echo $i > /tmp/next; mv /tmp/next /tmp/count; sleep 0.1; done'

const says = async (box: Sandbox, script: string): Promise<string> =>
  (await box.run(['sh', '-c', script])).stdout.trim()
const countOf = async (box: Sandbox): Promise<number> => Number(await box.files.readText('/tmp/count'))

describe.skipIf(noQemu !== undefined)('virtual machines over the API', { timeout: 300_000 }, () => {
  let daemon: TestDaemon
  let image: SmallImage
  let cove: Cove
  beforeAll(async () => {
    image = await SmallImage.make()
    daemon = await TestDaemon.start(['--drivers', 'bubblewrap,qemu', ...KERNELS])
    cove = daemon.client()
  }, 120_000)
  afterAll(async () => {
    for await (const { id } of cove.sandboxes.list()) await cove.sandboxes.delete(id)
    await daemon[Symbol.asyncDispose]()
    await image[Symbol.asyncDispose]()
  })

  it('are paused to disk, wake when they are used, fork, and keep their files over a stop', async () => {
    const box = await cove.sandboxes.create({
      isolation: 'microvm',
      template: image.template,
      name: 'box',
      limits,
      autoResume: true,
    })
    expect(box.info).toMatchObject({ driver: 'qemu', isolation: 'microvm' })
    const counter = await box.start(['sh', '-c', COUNT])
    await says(box, 'until [ -s /tmp/count ]; do sleep 0.1; done; echo kept > $HOME/note')
    expect(await box.pause({ toDisk: true })).toMatchObject({ state: 'paused', pausedToDisk: true })
    await daemon.end('SIGKILL')
    await daemon.start()
    cove = daemon.client()
    const found = await cove.sandboxes.get('box')
    const before = await countOf(found)
    expect((await found.refresh()).state).toBe('running')
    await expect.poll(() => countOf(found), { timeout: 20_000 }).toBeGreaterThan(before)
    expect((await found.processes.list()).map(({ id }) => id)).toContain(counter.id)

    const { kind, sandboxes } = await cove.sandboxes.fork('box', { count: 3 })
    expect(kind).toBe('memory')
    const children = await Promise.all(
      sandboxes.map((child) => says(child, 'hostname; cat $HOME/note; head -c 16 /dev/urandom | od -An -tx1')),
    )
    expect(new Set(children.map((text) => text.split('\n')[0])).size).toBe(3)
    expect(new Set(children.map((text) => text.split('\n')[2])).size).toBe(3)
    for (const text of children) expect(text.split('\n')[1]).toBe('kept')
    await Promise.all(sandboxes.map((child) => child.delete()))
    expect(await cove.snapshots.list()).toEqual([])

    await cove.sandboxes.stop('box')
    await cove.sandboxes.start('box')
    expect(await says(await cove.sandboxes.get('box'), 'cat $HOME/note')).toBe('kept')
    await cove.sandboxes.delete('box')
  })

  it('go on from the memory of their template, and wait in pools', async () => {
    const ready = { command: 'test -s /tmp/count', timeoutMs: 60_000 }
    const template = new Template(image.template).start(COUNT, ready).limits(limits).memory()
    const { memory } = await (await cove.templates.build(template, { name: 'counting' })).result()
    expect(memory).toMatchObject({ driver: 'qemu' })
    const restored = await cove.sandboxes.create({ template: 'counting', name: 'restored' })
    expect(restored.info).toMatchObject({ driver: 'qemu', restored: true, pooled: false })
    expect(await countOf(restored)).toBeGreaterThan(0)
    expect(await says(restored, 'hostname')).toBe('restored')
    await cove.pools.set('ready', { template: 'counting', min: 1 })
    await expect.poll(async () => (await cove.pools.list())[0]?.ready, { timeout: 60_000 }).toBe(1)
    const claimed = await cove.sandboxes.create({ template: 'counting', name: 'claimed' })
    expect(claimed.info).toMatchObject({ driver: 'qemu', restored: true, pooled: true })
    expect(await countOf(claimed)).toBeGreaterThan(0)
    expect(await says(claimed, 'hostname')).toBe('claimed')
    await cove.pools.delete('ready')
    await cove.templates.remove('counting')
    const at = await countOf(claimed)
    await expect.poll(() => countOf(claimed), { timeout: 20_000 }).toBeGreaterThan(at)
  })
})
