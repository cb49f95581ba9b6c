import { describe, expect, it } from 'vitest'
import { CoveError, type NodeEvent } from '@cove/domain'
import { Host, quiet, stateOf } from './support/harness.ts'

describe('stopping and starting again', () => {
  it('asks the guest first, keeps the disk, and makes the next incarnation over it', async () => {
    const host = new Host()
    const { node } = await host.open()
    const spec = host.spec()
    await node.create({ spec, incarnation: 1 })
    const first = host.world.single
    expect(await node.stop(spec.id, 1, 500)).toEqual({ kind: 'exited', code: 0 })
    expect(await node.stop(spec.id, 1, 500)).toEqual({ kind: 'exited', code: 0 })
    await node.settled()
    expect(host.world.machines.size).toBe(0)
    expect(await stateOf(node, spec.id)).toMatchObject({ state: 'stopped', exit: { kind: 'exited', code: 0 } })

    await node.create({ spec, incarnation: 2 })
    expect(host.world.single.spec.disk).toBe(first.spec.disk)
    expect(host.world.single.id).not.toBe(first.id)
    await node.destroy(spec.id)
    expect(host.world.isEmpty).toBe(true)
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
    expect(host.world.single.exit).toBeUndefined()
    await host.clock.advance(1)
    expect(await stop).toEqual({ kind: 'signaled', signal: 9 })
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
    expect(await stop).toEqual({ kind: 'signaled', signal: 9 })
    expect(host.world.isEmpty).toBe(true)
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
    const sessions = host.world.single.sessions
    await expect(old.metrics()).rejects.toMatchObject({ code: 'wrong-state' })
    expect(host.world.single.sessions).toBe(sessions)
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
    host.world.end(host.world.single.id, { kind: 'out-of-memory' })
    await quiet()
    const ended = { type: 'ended', id: spec.id, incarnation: 1, exit: { kind: 'out-of-memory' } }
    expect(heard).toEqual([[ended], [ended]])
    expect(await stateOf(node, spec.id)).toMatchObject({ state: 'ended', exit: { kind: 'out-of-memory' } })
    await expect(handle.metrics()).rejects.toMatchObject({ code: 'wrong-state' })
    await node.settled()
    expect([host.world.machines.size, host.world.disks.size]).toEqual([0, 1])
    expect(await node.stop(spec.id, 1, 0)).toEqual({ kind: 'out-of-memory' })
    await expect(node.create({ spec, incarnation: 1 })).rejects.toMatchObject({
      code: 'driver-failed',
      message: expect.stringContaining('ran out of memory'),
    })
    await node.create({ spec, incarnation: 2 })
    await node.destroy(spec.id)
    expect(host.world.isEmpty).toBe(true)
    stop.abort()
    await Promise.all(watchers)
    expect(heard[0]).toHaveLength(1)
    await node.close()
  })

  it('tell a watcher that sleeps too long that it has missed something', async () => {
    const host = new Host()
    const { node } = await host.open()
    const stop = new AbortController()
    const events = node.watch(stop.signal)
    const ends = 4_097
    for (let i = 0; i < ends; i++) {
      const spec = host.spec()
      await node.create({ spec, incarnation: 1 })
      host.world.end(host.world.single.id, { kind: 'exited', code: 0 })
      await node.settled()
      await node.destroy(spec.id)
    }
    let count = 0
    const read = async (): Promise<void> => {
      for await (const _ of events) count++
    }
    await expect(read()).rejects.toMatchObject({ code: 'limit-reached' })
    expect(count).toBe(ends - 1)
    await node.close()
  })
})

describe('destroying', () => {
  it('goes on until the driver obeys, and holds nobody else up', async () => {
    const host = new Host()
    const { node, driver } = await host.open()
    const spec = host.spec()
    await node.create({ spec, incarnation: 1 })
    const stuck = host.world.single.id
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
    expect(host.world.isEmpty).toBe(true)
    expect(await node.list()).toEqual([])
    await node.destroy(spec.id)
    await node.close()
  })

  it('does not wait for another sandbox whose driver hangs', async () => {
    const host = new Host()
    const { node, driver } = await host.open()
    const [one, two] = [host.spec(), host.spec()]
    await node.create({ spec: one, incarnation: 1 })
    const hanging = host.world.single.id
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
    expect(host.world.isEmpty).toBe(true)
    await node.close()
  })

  it('gives up a create that is under way', async () => {
    const host = new Host()
    const parts = host.parts()
    const entered = Promise.withResolvers<void>()
    parts.driver.beforeCreate = async (_, { signal }) => {
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
    expect(host.world.isEmpty).toBe(true)
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
    const machine = host.world.single
    const guest = await node.guest(spec.id, 1)
    await Promise.all([guest.metrics(), guest.metrics()])
    expect(machine.sessions).toBe(1)
    const epoch = machine.epoch
    const writes = fuse.steps.filter((step) => step.startsWith('store')).length
    links.open[0]?.drop()
    await quiet()
    await Promise.all([guest.metrics(), guest.metrics()])
    expect(machine.sessions).toBe(2)
    expect(machine.epoch).toBeGreaterThan(epoch)
    expect(fuse.steps.filter((step) => step.startsWith('store'))).toHaveLength(writes)
    await node.close()
    expect(links.open.at(-1)?.isClosed).toBe(true)
    expect(machine.exit).toBeUndefined()
  })
})
