import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { Template, type Cove, type Sandbox } from '@cove/sdk'
import { TestDaemon } from './support/daemon.ts'
import { noRuntime } from './support/small-image.ts'

const missing = noRuntime('runsc')
if (missing !== undefined) console.log(`skipped: templates with memory: ${missing}`)

const COUNT = 'i=0; while :; do i=$((i+1)); echo $i > /tmp/next; mv /tmp/next /tmp/count; sleep 0.05; done'
const READY = { command: 'test -s /tmp/count', timeoutMs: 60_000 }
const counting = new Template('host').start(COUNT, READY)

const says = async (box: Sandbox, ...argv: string[]): Promise<string> => (await box.run(argv)).stdout.trim()
const countOf = async (box: Sandbox): Promise<number> => Number(await box.files.readText('/tmp/count'))

describe.skipIf(missing !== undefined)('a template that is kept with its memory', { timeout: 180_000 }, () => {
  let daemon: TestDaemon
  let cove: Cove
  const saved = () => readdirSync(join(daemon.dataDir, 'drivers/gvisor/snapshots')).filter((name) => name[0] !== '.')
  beforeAll(async () => {
    daemon = await TestDaemon.start(['--drivers', 'bubblewrap,gvisor'])
    cove = daemon.client()
    await (await cove.templates.build(counting.memory(), { name: 'counting' })).result()
  })
  afterEach(async () => {
    for await (const { id } of cove.sandboxes.list()) await cove.sandboxes.delete(id)
  })
  afterAll(() => daemon[Symbol.asyncDispose]())

  it('has its start command running in every sandbox, each with an identity of its own', async () => {
    expect((await cove.templates.get('counting')).memory).toMatchObject({ driver: 'gvisor', network: { kind: 'none' } })
    const boxes = await Promise.all(
      ['one', 'two'].map((name) => cove.sandboxes.create({ template: 'counting', name, env: { WHO: name } })),
    )
    const chance = new Set<string>()
    for (const box of boxes) {
      expect(box.info).toMatchObject({ driver: 'gvisor', restored: true, state: 'running' })
      const before = await countOf(box)
      expect(before).toBeGreaterThan(0)
      await expect.poll(() => countOf(box)).toBeGreaterThan(before)
      expect(await says(box, 'sh', '-c', 'hostname; echo $WHO')).toBe(`${box.info.name}\n${box.info.name}`)
      chance.add(await says(box, 'head', '-c', '16', '/dev/urandom'))
    }
    expect(chance.size).toBe(2)
  })

  it('keeps its files over a stop and a start, which runs the start command', async () => {
    const box = await cove.sandboxes.create({ template: 'counting' })
    await box.files.write('/home/user/note', 'kept')
    await box.stop()
    await cove.sandboxes.start(box.id)
    expect(await box.files.readText('/home/user/note')).toBe('kept')
    expect(await countOf(box)).toBeGreaterThan(0)
  })

  it('starts what asks for something else, and says why', async () => {
    const limited = await cove.sandboxes.create({ template: 'counting', limits: { memoryBytes: 256 * 1024 * 1024 } })
    expect(limited.info).toMatchObject({ driver: 'gvisor', restored: false })
    expect(limited.info.message).toContain('memoryBytes')
    const other = await cove.sandboxes.create({ template: 'counting', driver: 'bubblewrap' })
    expect(other.info).toMatchObject({ driver: 'bubblewrap', restored: false })
    expect(other.info.message).toContain('it is kept by gvisor')
    expect(await countOf(other)).toBeGreaterThan(0)
  })

  it('fills pools, whose machines are awake when they are claimed', async () => {
    await cove.pools.set('ready', { template: 'counting', min: 1 })
    await expect.poll(async () => (await cove.pools.list())[0]?.ready, { timeout: 60_000 }).toBe(1)
    const box = await cove.sandboxes.create({ template: 'counting', name: 'claimed' })
    expect(box.info).toMatchObject({ driver: 'gvisor', pooled: true, restored: true })
    expect(await countOf(box)).toBeGreaterThan(0)
    expect(await says(box, 'hostname')).toBe('claimed')
    await cove.pools.delete('ready')
  })

  it('that does not fit any more is told, and its sandboxes start', async () => {
    await (await cove.templates.build(counting.memory(), { name: 'stale' })).result()
    for (const id of saved()) {
      const path = join(daemon.dataDir, 'drivers/gvisor/snapshots', id, 'manifest.json')
      const manifest = JSON.parse(readFileSync(path, 'utf8')) as object
      if (id === (await cove.templates.get('stale')).build) {
        writeFileSync(path, JSON.stringify({ ...manifest, runsc: 'runsc version 1' }))
      }
    }
    const box = await cove.sandboxes.create({ template: 'stale' })
    expect(box.info).toMatchObject({ driver: 'gvisor', restored: false })
    expect(box.info.message).toContain('saved by runsc version 1')
    expect(await countOf(box)).toBeGreaterThan(0)
    await expect
      .poll(async () => (await cove.templates.get('stale')).memory?.problem)
      .toContain('saved by runsc version 1')
    const before = saved()
    // A new version takes its place, and what was saved of the old one goes.
    await (await cove.templates.build(counting.memory(), { name: 'stale' })).result()
    expect(saved()).toHaveLength(before.length)
    expect((await cove.templates.get('stale')).memory?.problem).toBeUndefined()
    await cove.templates.remove('stale')
    expect(saved()).toHaveLength(before.length - 1)
  })

  it('is not built where no driver can, and nothing stays of it', async () => {
    const before = saved()
    const build = await cove.templates.build(counting.memory(), { name: 'never', driver: 'bubblewrap' })
    await expect(build.result()).rejects.toMatchObject({ code: 'unsupported' })
    await expect(cove.templates.get('never')).rejects.toMatchObject({ code: 'template-not-found' })
    expect(saved()).toEqual(before)
  })
})
