import { describe, expect, it } from 'vitest'
import { CoveError, type NodeEvent } from '@cove/domain'
import { Host, quiet, stateOf } from './support/harness.ts'

describe('stopping and starting again', () => {
  it('asks the guest first, keeps the disk, and makes the next incarnation over it', async () => {
    const host = new Host()
    const { node } = await host.open()
    const spec = host.spec()
    await node.create({ spec, incarnation: 1 })
    const first = host.single
    expect(await node.stop(spec.id, 1, 500)).toEqual({ kind: 'exited', code: 0 })
    expect(await node.stop(spec.id, 1, 500)).toEqual({ kind: 'exited', code: 0 })
    await node.settled()
    expect(host.world.machines.size).toBe(0)
    expect(await stateOf(node, spec.id)).toMatchObject({ state: 'stopped', exit: { kind: 'exited', code: 0 } })

    await node.create({ spec, incarnation: 2 })
    expect(host.single.spec.disk).toBe(first.spec.disk)
    expect(host.single.id).not.toBe(first.id)
    await node.destroy(spec.id)
    expect(host.count).toEqual([0, 0])
    await node.close()
  })

  it('ends a guest by force that does not end in its grace', async () => {
    const host = new Host()
    const { node, links } = await host.open()
    const spec = host.spec()
    await node.create({ spec, incarnation: 1 })
    links.stubborn = true
    const stop = node.stop(spec.id, 1, 2_000)
    await host.clock.advance(2_999)
    expect(host.single.exit).toBeUndefined()
    await host.clock.advance(1)
    expect(await stop).toEqual({ kind: 'exited', code: 0 })
    await node.close()
  })

  it('gives up on a machine that does not even end by force, and may be asked again', async () => {
    const host = new Host()
    const { node, driver } = await host.open()
    const spec = host.spec()
    await node.create({ spec, incarnation: 1 })
    driver.beforeStop = () => new Promise(() => {})
    const stop = node.stop(spec.id, 1, 0)
    stop.catch(() => {})
    await host.clock.advance(30_000)
    await expect(stop).rejects.toMatchObject({ code: 'deadline-exceeded' })
    expect(await stateOf(node, spec.id)).toMatchObject({ state: 'running' })
    driver.beforeStop = async () => {}
    expect(await node.stop(spec.id, 1, 0)).toEqual({ kind: 'exited', code: 0 })
    await node.close()
  })

  it('is cut short by a destroy', async () => {
    const host = new Host()
    const { node, links } = await host.open()
    const spec = host.spec()
    await node.create({ spec, incarnation: 1 })
    links.stubborn = true
    const stop = node.stop(spec.id, 1, 60_000)
    await quiet()
    await node.destroy(spec.id)
    expect(await stop).toEqual({ kind: 'exited', code: 0 })
    expect(host.count).toEqual([0, 0])
    await node.close()
  })

  it('keeps old handles away from the machine that comes after', async () => {
    const host = new Host()
    const { node } = await host.open()
    const spec = host.spec()
    await node.create({ spec, incarnation: 1 })
    const old = await node.guest(spec.id, 1)
    await node.stop(spec.id, 1, 0)
    await expect(old.metrics()).rejects.toMatchObject({ code: 'wrong-state' })
    await expect(node.guest(spec.id, 1)).rejects.toMatchObject({ code: 'wrong-state' })
    await node.create({ spec, incarnation: 2 })
    const sessions = host.epochs.length
    await expect(old.metrics()).rejects.toMatchObject({ code: 'wrong-state' })
    expect(host.epochs).toHaveLength(sessions)
    await expect(node.guest(spec.id, 1)).rejects.toMatchObject({ code: 'stale-incarnation' })
    await expect(node.stop(spec.id, 1, 0)).rejects.toMatchObject({ code: 'stale-incarnation' })
    await expect(node.guest(spec.id, 3)).rejects.toMatchObject({ code: 'wrong-state' })
    const current = await node.guest(spec.id, 2)
    await node.destroy(spec.id)
    await expect(current.metrics()).rejects.toMatchObject({ code: 'sandbox-not-found' })
    await expect(node.guest(spec.id, 2)).rejects.toMatchObject({ code: 'sandbox-not-found' })
    await node.close()
  })
})

describe('machines that end by themselves', () => {
  it('are recorded, told to every watcher, and keep their disk until they are destroyed', async () => {
    const host = new Host()
    const { node } = await host.open()
    const spec = host.spec()
    await node.create({ spec, incarnation: 1 })
    const handle = await node.guest(spec.id, 1)
    const stop = new AbortController()
    const heard: NodeEvent[][] = [[], []]
    const watchers = heard.map(async (events) => {
      for await (const event of node.watch(stop.signal)) events.push(event)
    })
    host.single.end({ kind: 'out-of-memory' })
    await quiet()
    const ended = { type: 'ended', id: spec.id, incarnation: 1, exit: { kind: 'out-of-memory' } }
    expect(heard).toEqual([[ended], [ended]])
    expect(await stateOf(node, spec.id)).toMatchObject({ state: 'ended', exit: { kind: 'out-of-memory' } })
    await expect(handle.metrics()).rejects.toMatchObject({ code: 'wrong-state' })
    await node.settled()
    expect(host.count).toEqual([0, 1])
    expect(await node.stop(spec.id, 1, 0)).toEqual({ kind: 'out-of-memory' })
    await expect(node.create({ spec, incarnation: 1 })).rejects.toMatchObject({
      code: 'driver-failed',
      message: expect.stringContaining('ran out of memory'),
    })
    await node.create({ spec, incarnation: 2 })
    await node.destroy(spec.id)
    expect(host.count).toEqual([0, 0])
    stop.abort()
    await Promise.all(watchers)
    expect(heard[0]).toHaveLength(1)
    await node.close()
  })
})

describe('destroying', () => {
  it('goes on until the driver obeys, and holds nobody else up', async () => {
    const host = new Host()
    const { node, driver } = await host.open()
    const spec = host.spec()
    await node.create({ spec, incarnation: 1 })
    const stuck = host.single.id
    let failures = 0
    driver.beforeDestroy = async (id) => {
      if (id === stuck && failures++ < 5) throw new CoveError('driver-failed', 'device busy')
    }
    await expect(node.destroy(spec.id)).rejects.toMatchObject({ code: 'driver-failed' })
    expect(await stateOf(node, spec.id)).toMatchObject({ state: 'ended' })
    await expect(node.destroy(spec.id)).rejects.toMatchObject({ code: 'driver-failed' })
    expect(await host.records()).toEqual([])

    const other = host.spec()
    await node.create({ spec: other, incarnation: 1 })
    await node.destroy(other.id)
    await host.clock.advance(30_000)
    expect(failures).toBe(6)
    expect(host.count).toEqual([0, 0])
    expect(await node.list()).toEqual([])
    await node.destroy(spec.id)
    await node.close()
  })

  it('does not wait for another sandbox whose driver hangs', async () => {
    const host = new Host()
    const { node, driver } = await host.open()
    const [one, two] = [host.spec(), host.spec()]
    await node.create({ spec: one, incarnation: 1 })
    const hanging = host.single.id
    await node.create({ spec: two, incarnation: 1 })
    const release = Promise.withResolvers<void>()
    driver.beforeDestroy = async (id) => {
      if (id === hanging) await release.promise
    }
    const first = node.destroy(one.id)
    await node.destroy(two.id)
    expect(host.world.machines.size).toBe(1)
    release.resolve()
    await first
    expect(host.count).toEqual([0, 0])
    await node.close()
  })

  it('gives up a create that is under way', async () => {
    const host = new Host()
    const parts = host.parts()
    const entered = Promise.withResolvers<void>()
    parts.driver.duringCreate = async (_, signal) => {
      entered.resolve()
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
    }
    const { node } = await host.open(parts)
    const spec = host.spec()
    const create = node.create({ spec, incarnation: 1 })
    create.catch(() => {})
    await entered.promise
    await node.destroy(spec.id)
    await expect(create).rejects.toMatchObject({ code: 'wrong-state' })
    expect(host.count).toEqual([0, 0])
    expect(await host.records()).toEqual([])
    await node.close()
  })

  it('makes a create wait for what an earlier machine has left, but not for ever', async () => {
    const host = new Host()
    const { node, driver } = await host.open()
    const spec = host.spec()
    await node.create({ spec, incarnation: 1 })
    let broken = true
    driver.beforeDestroy = async () => {
      if (broken) throw new CoveError('driver-failed', 'device busy')
    }
    await node.stop(spec.id, 1, 0)
    await expect(node.create({ spec, incarnation: 2 })).rejects.toMatchObject({ code: 'busy' })
    broken = false
    expect(await node.create({ spec, incarnation: 2 })).toMatchObject({ incarnation: 2, state: 'running' })
    await node.close()
  })
})

describe('guest sessions', () => {
  it('are shared, and opened again with a higher epoch after a drop, without a write', async () => {
    const host = new Host()
    const { node, links, fuse } = await host.open()
    const spec = host.spec()
    await node.create({ spec, incarnation: 1 })
    const machine = host.single
    const guest = await node.guest(spec.id, 1)
    await Promise.all([guest.metrics(), guest.metrics()])
    expect(host.epochs).toHaveLength(1)
    const writes = fuse.steps.filter((step) => step.startsWith('store')).length
    await links.open[0]?.close()
    await quiet()
    await Promise.all([guest.metrics(), guest.metrics()])
    expect(host.epochs).toHaveLength(2)
    expect(host.epochs).toEqual(host.epochs.toSorted((a, b) => a - b))
    expect(fuse.steps.filter((step) => step.startsWith('store'))).toHaveLength(writes)
    await node.close()
    expect(await links.open.at(-1)?.closed).toBeUndefined()
    expect(machine.exit).toBeUndefined()
  })
})
