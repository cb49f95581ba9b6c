import { describe, expect, it } from 'vitest'
import { CoveError, newDiskId, newMachineId, type MachineSpec } from '@cove/domain'
import { Fuse } from './support/fuse.ts'
import { Host, quiet, stateOf, type Daemon } from './support/harness.ts'

const stray: MachineSpec = { from: { kind: 'host' }, limits: {}, network: { kind: 'none' }, hostname: 'stray' }
const context = { signal: new AbortController().signal, progress: () => {} }

/** A host on which a daemon has made a sandbox and was killed. */
async function afterKill(): Promise<{ host: Host; spec: ReturnType<Host['spec']>; dead: Daemon }> {
  const host = new Host()
  const dead = await host.open()
  const spec = host.spec()
  await dead.node.create({ spec, incarnation: 1 })
  dead.fuse.die()
  return { host, spec, dead }
}

describe('after a daemon was killed', () => {
  it('adopts what runs without a word to its guest, and links when somebody asks', async () => {
    const { host, spec } = await afterKill()
    const machine = host.single
    const sessions = host.epochs.length
    const { node } = await host.open()
    expect(await node.list()).toMatchObject([
      { id: spec.id, incarnation: 1, state: 'running', limits: [{ value: 10 }] },
    ])
    expect(host.epochs).toHaveLength(sessions)
    await (await node.guest(spec.id, 1)).metrics()
    expect(host.epochs).toHaveLength(sessions + 1)

    machine.guest.hostname = ''
    await node.create({ spec, incarnation: 1 })
    expect(machine.guest.hostname).toBe(spec.id)
    machine.end({ kind: 'exited', code: 7 })
    await quiet()
    expect(await stateOf(node, spec.id)).toMatchObject({ state: 'ended', exit: { kind: 'exited', code: 7 } })
    await node.destroy(spec.id)
    expect(host.count).toEqual([0, 0])
    await node.close()
  })

  it('says how a machine ended meanwhile, and that one which is gone was lost', async () => {
    for (const exit of [{ kind: 'signaled', signal: 11 } as const, undefined]) {
      const { host, spec } = await afterKill()
      const { id } = host.single
      if (exit === undefined) host.world.machines.delete(id)
      else host.world.machines.get(id)?.end(exit)
      const { node } = await host.open()
      await node.settled()
      expect(await node.list()).toMatchObject([{ id: spec.id, state: 'ended', exit: exit ?? { kind: 'lost' } }])
      await expect(node.guest(spec.id, 1)).rejects.toMatchObject({ code: 'wrong-state' })
      expect(host.count).toEqual([0, 1])
      expect((await host.records()).join()).toContain('"ended"')
      await node.create({ spec, incarnation: 2 })
      await node.destroy(spec.id)
      expect(host.count).toEqual([0, 0])
      await node.close()
    }
  })

  it('keeps the disk of an acknowledged sandbox whose machine its driver calls half-made', async () => {
    const { host, spec } = await afterKill()
    host.single.partial = true
    const { node } = await host.open()
    await node.settled()
    expect(await node.list()).toMatchObject([{ id: spec.id, state: 'ended', exit: { kind: 'lost' } }])
    expect(host.count).toEqual([0, 1])
    await node.close()
  })

  it('removes machines and disks that belong to nothing', async () => {
    const { host, spec, dead } = await afterKill()
    const other = host.parts()
    await other.driver.create(newMachineId(host.random), { ...stray, disk: newDiskId(host.random) }, context)
    const half = await other.driver.create(newMachineId(host.random), stray, context)
    const partial = host.world.machines.get(half.id)
    if (partial !== undefined) partial.partial = true
    const gone = newMachineId(host.random)
    await other.driver.create(gone, { ...stray, disk: newDiskId(host.random) }, context)
    await other.driver.destroy(gone)
    expect(host.count).toEqual([3, 3])
    expect(dead.fuse.dead).toBe(true)
    const { node } = await host.open()
    await node.settled()
    expect(host.single.guest.hostname).toBe(spec.id)
    expect(host.count).toEqual([1, 1])
    await node.close()
  })

  it('raises the epoch at every start, also when nothing was connected in between', async () => {
    const { host, spec } = await afterKill()
    for (let i = 0; i < 5; i++) {
      const daemon = await host.open()
      daemon.fuse.die()
      const { node, fuse } = await host.open()
      await (await node.guest(spec.id, 1)).metrics()
      fuse.die()
    }
    expect(host.epochs).toHaveLength(6)
    expect(host.epochs).toEqual([...new Set(host.epochs)].toSorted((one, other) => one - other))
  })

  it('adopts 200 machines at once', async () => {
    const host = new Host()
    const dead = await host.open()
    const specs = Array.from({ length: 200 }, () => host.spec())
    await Promise.all(specs.map((spec) => dead.node.create({ spec, incarnation: 1 })))
    dead.fuse.die()
    const began = performance.now()
    const { node, fuse } = await host.open()
    expect(performance.now() - began).toBeLessThan(2_000)
    expect((await node.list()).filter(({ state }) => state === 'running')).toHaveLength(200)
    expect(fuse.steps).not.toContain('connect')
    const [spec] = specs
    if (spec !== undefined) await (await node.guest(spec.id, 1)).metrics()
    await node.close()
  })

  it('waits for a driver that cannot tell yet, and never takes its sandboxes for lost', async () => {
    const { host, spec } = await afterKill()
    const parts = host.parts()
    let down = true
    parts.driver.beforeRecover = async () => {
      if (down) throw new CoveError('driver-failed', 'engine is down')
    }
    const { node } = await host.open(parts)
    expect(await node.list()).toMatchObject([{ id: spec.id, state: 'running' }])
    await expect(node.guest(spec.id, 1)).rejects.toMatchObject({ code: 'driver-failed' })
    await expect(node.create({ spec: host.spec(), incarnation: 1 })).rejects.toMatchObject({
      code: 'isolation-unavailable',
      message: expect.stringContaining('engine is down'),
    })
    down = false
    await host.clock.advance(2_000)
    await (await node.guest(spec.id, 1)).metrics()
    await node.create({ spec: host.spec(), incarnation: 1 })
    expect(host.world.machines.size).toBe(2)
    await node.close()
  })

  it('opens without a driver that hangs', async () => {
    const { host, spec } = await afterKill()
    const parts = host.parts()
    const release = Promise.withResolvers<void>()
    parts.driver.beforeRecover = () => release.promise
    const opening = host.open(parts)
    await host.clock.advance(10_000)
    const { node } = await opening
    const guest = node.guest(spec.id, 1)
    release.resolve()
    expect(await (await guest).metrics()).toMatchObject({ agentVersion: '0.0.0-fake' })
    await node.close()
  })

  it('keeps what belongs to a driver that is not configured any more', async () => {
    const { host, spec } = await afterKill()
    const { node } = await host.open(host.parts(), { drivers: [] })
    expect(await node.list()).toMatchObject([{ id: spec.id, state: 'running' }])
    await expect(node.guest(spec.id, 1)).rejects.toMatchObject({ code: 'busy' })
    await expect(node.destroy(spec.id)).rejects.toMatchObject({ code: 'driver-failed' })
    await node.close()
    const again = await host.open()
    await (await again.node.guest(spec.id, 1)).metrics()
    await again.node.close()
  })

  it('refuses records that it cannot read, and touches nothing', async () => {
    for (const [value, code] of [
      ['{"v":99}', 'store-too-new'],
      ['{"v":1,"state":"running"}', 'store-corrupt'],
      ['not json', 'store-corrupt'],
    ] as const) {
      const { host } = await afterKill()
      const key = 'machine/aaaaaaaaaaaaaaaa'
      await host.store.txn([], [{ type: 'put', key, value: Buffer.from(value) }])
      await expect(host.open(host.parts(new Fuse()))).rejects.toMatchObject({ code })
      expect(host.single.exit).toBeUndefined()
    }
  })
})
