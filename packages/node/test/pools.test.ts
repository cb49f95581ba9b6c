import { describe, expect, it } from 'vitest'
import type { PoolReport, PoolSpec } from '@cove/domain'
import { FakeImages, idOf } from './support/fake-images.ts'
import { Host, quiet, stateOf } from './support/harness.ts'

const LIMITS = { processes: { value: 10, required: false } }
const WARM: PoolSpec = {
  name: 'warm',
  from: { kind: 'host' },
  limits: LIMITS,
  network: { kind: 'none' },
  min: 2,
  max: 4,
}

type Daemon = Awaited<ReturnType<Host['open']>>

async function report({ node }: Daemon): Promise<PoolReport | undefined> {
  return (await node.pools.list())[0]
}

async function filled(daemon: Daemon, ready: number): Promise<void> {
  for (let turn = 0; turn < 200; turn++) {
    if ((await report(daemon))?.ready === ready) return
    await quiet(1)
  }
  throw new Error(`the pool has ${(await report(daemon))?.ready} ready, not ${ready}`)
}

describe('pools', () => {
  it('give a create a machine that is there already, and are filled again', async () => {
    const host = new Host()
    const daemon = await host.open()
    await daemon.node.pools.set([WARM])
    await filled(daemon, 2)
    const ahead = new Set(host.world.machines.keys())
    const spec = host.spec({ name: 'mine' })
    const made = await daemon.node.create({ spec, incarnation: 1 })
    expect(made).toMatchObject({ state: 'running', pooled: true, driver: 'fake' })
    const guest = await daemon.node.guest(spec.id, 1)
    expect((await guest.metrics()).agentVersion).not.toBe('')
    // Its machine is one of those that were there.
    const [record] = await host.records()
    const { machine } = JSON.parse(record ?? '{}') as { machine: string }
    expect([...ahead]).toContain(machine)
    await filled(daemon, 3)
    expect(await report(daemon)).toMatchObject({ asked: 1, served: 1, broken: 0 })
    await daemon.node.destroy(spec.id)
    await daemon.node.close()
  })

  it('are passed by whatever asks for something else', async () => {
    const host = new Host()
    const daemon = await host.open()
    await daemon.node.pools.set([WARM])
    await filled(daemon, 2)
    for (const changes of [
      { limits: { processes: { value: 11, required: false } } },
      { limits: { processes: { value: 10, required: true } } },
      { network: { kind: 'internet' as const, allow: [] } },
    ]) {
      const spec = host.spec(changes)
      const made = await daemon.node.create({ spec, incarnation: 1 }).catch(() => undefined)
      expect(made?.pooled).toBeUndefined()
    }
    expect(await report(daemon)).toMatchObject({ ready: 2, asked: 0, served: 0 })
    await daemon.node.close()
  })

  it('never hand out a machine that has ended or does not answer', async () => {
    const host = new Host()
    const daemon = await host.open()
    await daemon.node.pools.set([{ ...WARM, min: 1, max: 1 }])
    await filled(daemon, 1)
    const [id] = host.world.machines.keys()
    if (id === undefined) throw new Error('no machine')
    host.world.machines.get(id)?.end({ kind: 'out-of-memory' })
    await quiet()
    await filled(daemon, 1)
    expect(await report(daemon)).toMatchObject({ broken: 1 })
    expect(host.world.machines.has(id)).toBe(false)

    // The next one is there and says nothing.
    let mute = true
    daemon.links.beforeConfigure = () => (mute ? new Promise(() => {}) : Promise.resolve())
    const spec = host.spec()
    const creating = daemon.node.create({ spec, incarnation: 1 })
    await quiet()
    mute = false
    await host.clock.advance(2_000)
    expect(await creating).toMatchObject({ state: 'running' })
    expect((await stateOf(daemon.node, spec.id))?.pooled).toBeUndefined()
    expect(await report(daemon)).toMatchObject({ asked: 1, served: 0, broken: 2 })
    await daemon.node.close()
  })

  it('that are empty leave the create to make its own', async () => {
    const host = new Host()
    const daemon = await host.open()
    await daemon.node.pools.set([{ ...WARM, min: 1, max: 1 }])
    await filled(daemon, 1)
    daemon.driver.duringCreate = async () => {}
    const specs = [host.spec(), host.spec(), host.spec()]
    const made = await Promise.all(specs.map((spec) => daemon.node.create({ spec, incarnation: 1 })))
    expect(made.map(({ state }) => state)).toEqual(['running', 'running', 'running'])
    expect(made.filter(({ pooled }) => pooled === true)).toHaveLength(1)
    await daemon.node.close()
  })

  it('leave nothing when they are changed, taken away, or when the daemon dies', async () => {
    const host = new Host()
    const daemon = await host.open()
    await daemon.node.pools.set([WARM])
    await filled(daemon, 2)
    await daemon.node.pools.set([{ ...WARM, min: 1 }])
    await filled(daemon, 1)
    await daemon.node.settled()
    expect(host.count).toEqual([1, 1])
    await daemon.node.pools.set([])
    await daemon.node.settled()
    expect(host.count).toEqual([0, 0])
    await daemon.node.pools.set([WARM])
    await filled(daemon, 2)
    daemon.fuse.die()
    const next = await host.open()
    await next.node.settled()
    expect(host.count).toEqual([0, 0])
    await next.node.close()
  })

  it('whose source has come to mean another image hand out no machine of the one before', async () => {
    const host = new Host()
    let version = 1
    class Moving extends FakeImages {
      override fetch = () => FakeImages.prototype.fetch.call(this, `oci:v${version}`)
    }
    const daemon = await host.open(undefined, { images: new Moving() })
    await daemon.node.pools.set([{ ...WARM, from: { kind: 'source', source: 'oci:moving' } }])
    await filled(daemon, 2)
    version = 2
    const from = (image: string) => host.spec({ from: { kind: 'image', image: idOf(image) } })
    const first = await daemon.node.create({ spec: from('oci:v1'), incarnation: 1 })
    expect(first.pooled).toBe(true)
    await filled(daemon, 3)
    await daemon.node.settled()
    const ahead = [...host.world.machines.values()].map(({ spec }) => spec.from)
    expect(
      ahead
        .map((root) => 'image' in root && root.image)
        .map(String)
        .toSorted(),
    ).toEqual([idOf('oci:v1'), idOf('oci:v2'), idOf('oci:v2'), idOf('oci:v2')].map(String).toSorted())
    const second = await daemon.node.create({ spec: from('oci:v1'), incarnation: 1 })
    expect(second.pooled).toBeUndefined()
    const third = await daemon.node.create({ spec: from('oci:v2'), incarnation: 1 })
    expect(third.pooled).toBe(true)
    await daemon.node.close()
  })

  it('say why they cannot be filled, and try again', async () => {
    const host = new Host()
    const daemon = await host.open()
    let broken = true
    daemon.driver.duringCreate = async () => {
      if (broken) throw new Error('the wall does not stand')
    }
    await daemon.node.pools.set([{ ...WARM, min: 1, max: 1 }])
    await quiet()
    expect((await report(daemon))?.problem).toContain('the wall does not stand')
    broken = false
    for (let i = 0; i < 4; i++) {
      await host.clock.advance(60_000)
      await quiet()
    }
    await filled(daemon, 1)
    expect((await report(daemon))?.problem).toBeUndefined()
    await daemon.node.close()
  })
})
