import { describe, expect, it } from 'vitest'
import { CoveError, newSandboxId } from '@cove/domain'
import { Host, quiet, stateOf } from './support/harness.ts'

describe('creating', () => {
  it('makes a machine, tells its guest who it is, and destroys all of it', async () => {
    const host = new Host()
    const { node } = await host.open()
    const spec = host.spec({ name: 'writer' })
    const steps: string[] = []
    const made = await node.create({ spec, incarnation: 1, progress: (step) => steps.push(step) })
    expect(made).toEqual({
      id: spec.id,
      incarnation: 1,
      driver: 'fake',
      isolation: 'namespace',
      limits: [{ name: 'processes', value: 10, enforced: true }],
      state: 'running',
    })
    expect(steps).toEqual(['starting the machine'])
    const machine = host.single
    expect(machine.guest).toMatchObject({ hostname: 'writer', env: { GREETING: 'hello' } })
    expect(machine.spec).toMatchObject({ from: { kind: 'host' }, hostname: 'writer', disk: expect.any(String) })
    expect((await (await node.guest(spec.id, 1)).metrics()).agentVersion).toBe('0.0.0-fake')
    expect(await node.stats(spec.id, 1)).toMatchObject({ processes: 1 })

    await node.destroy(spec.id)
    expect(host.count).toEqual([0, 0])
    expect(await host.records()).toEqual([])
    expect(await node.list()).toEqual([])
    await node.destroy(spec.id)
    await node.close()
  })

  it('uses the id as the host name when the name is no DNS label', async () => {
    const host = new Host()
    const { node } = await host.open()
    const spec = host.spec({ name: 'Not A Label' })
    await node.create({ spec, incarnation: 1 })
    expect(host.single.guest.hostname).toBe(spec.id)
    await node.close()
  })

  it('answers repeated and concurrent creates with the one machine', async () => {
    const host = new Host()
    const { node } = await host.open()
    const spec = host.spec()
    const answers = await Promise.all([1, 2, 3].map(() => node.create({ spec, incarnation: 1 })))
    answers.push(await node.create({ spec, incarnation: 1 }))
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1)
    expect(host.world.machines.size).toBe(1)
    expect(host.epochs).toHaveLength(1)
    expect(new Set(answers).size).toBe(4)
    await node.close()
  })

  it('goes on for the others when one of several callers goes away, and is undone when all have', async () => {
    const host = new Host()
    const parts = host.parts()
    const gate = Promise.withResolvers<void>()
    const entered = Promise.withResolvers<void>()
    parts.driver.duringCreate = async (_, signal) => {
      entered.resolve()
      await Promise.race([gate.promise, new Promise((resolve) => signal.addEventListener('abort', resolve))])
    }
    const { node } = await host.open(parts)
    const first = host.spec()
    const leaving = new AbortController()
    const left = node.create({ spec: first, incarnation: 1 }, leaving.signal)
    const stayed = node.create({ spec: first, incarnation: 1 })
    await entered.promise
    leaving.abort()
    await expect(left).rejects.toMatchObject({ code: 'cancelled' })
    expect(await stateOf(node, first.id)).toMatchObject({ state: 'creating' })

    const second = host.spec()
    const both = [new AbortController(), new AbortController()]
    const creates = both.map(({ signal }) => node.create({ spec: second, incarnation: 1 }, signal))
    await quiet()
    for (const controller of both) controller.abort()
    for (const create of creates) await expect(create).rejects.toMatchObject({ code: 'cancelled' })
    expect(await stateOf(node, second.id)).toBeUndefined()

    gate.resolve()
    expect(await stayed).toMatchObject({ state: 'running' })
    await node.destroy(first.id)
    expect(host.count).toEqual([0, 0])
    await node.close()
  })

  it('starts anew after a cancelled create of the same incarnation', async () => {
    const host = new Host()
    const { node } = await host.open()
    const spec = host.spec()
    const cancelled = new AbortController()
    const first = node.create({ spec, incarnation: 1 }, cancelled.signal)
    cancelled.abort()
    const second = node.create({ spec, incarnation: 1 })
    await expect(first).rejects.toMatchObject({ code: 'cancelled' })
    expect(await second).toMatchObject({ state: 'running' })
    expect(host.world.machines.size).toBe(1)
    await node.close()
  })

  const faults = {
    'the driver refuses': ({ driver }: ReturnType<Host['parts']>) => {
      driver.duringCreate = async () => {
        throw new CoveError('no-space', 'full')
      }
    },
    'the guest cannot be set up': ({ links }: ReturnType<Host['parts']>) => {
      links.beforeConfigure = async () => {
        throw new CoveError('guest-protocol', 'nonsense')
      }
    },
    'the machine ends while it starts': ({ driver, links }: ReturnType<Host['parts']>) => {
      links.beforeConfigure = async () => {
        for (const machine of driver.world.machines.values()) machine.end({ kind: 'exited', code: 3 })
        await new Promise(() => {})
      }
    },
    'the guest is silent': ({ links }: ReturnType<Host['parts']>) => {
      links.beforeConfigure = () => new Promise(() => {})
    },
  }
  const codes = ['no-space', 'guest-protocol', 'driver-failed', 'deadline-exceeded']
  for (const [index, [what, fault]] of Object.entries(faults).entries()) {
    it(`leaves nothing when ${what}`, async () => {
      const host = new Host()
      const parts = host.parts()
      fault(parts)
      const { node } = await host.open(parts)
      const spec = host.spec()
      const create = node.create({ spec, incarnation: 1 })
      create.catch(() => {})
      await host.clock.advance(30_000)
      await expect(create).rejects.toMatchObject({ code: codes[index] })
      expect(host.count).toEqual([0, 0])
      expect(await host.records()).toEqual([])
      expect(await node.list()).toEqual([])
      await expect(node.guest(spec.id, 1)).rejects.toMatchObject({ code: 'sandbox-not-found' })
      await node.close()
    })
  }

  it('keeps the disk and the state of the incarnation before when the next one fails', async () => {
    const host = new Host()
    const parts = host.parts()
    const { node } = await host.open(parts)
    const spec = host.spec()
    await node.create({ spec, incarnation: 1 })
    await node.stop(spec.id, 1, 0)
    parts.driver.duringCreate = async () => {
      throw new CoveError('no-space', 'full')
    }
    await expect(node.create({ spec, incarnation: 2 })).rejects.toMatchObject({ code: 'no-space' })
    expect(await stateOf(node, spec.id)).toMatchObject({ incarnation: 1, state: 'stopped' })
    expect(host.count).toEqual([0, 1])
    expect(await host.records()).toEqual([expect.stringContaining('"stopped"')])
    await node.close()
  })

  it('refuses what cannot be an incarnation, a template it has not, and a running one made anew', async () => {
    const host = new Host()
    const { node } = await host.open()
    const spec = host.spec()
    for (const incarnation of [0, -1, 1.5, Number.NaN]) {
      await expect(node.create({ spec, incarnation })).rejects.toMatchObject({ code: 'invalid-argument' })
    }
    await expect(
      node.create({ spec: host.spec({ from: { kind: 'source', source: 'oci:moon' } }), incarnation: 1 }),
    ).rejects.toMatchObject({
      code: 'unsupported',
    })
    await node.create({ spec, incarnation: 2 })
    await expect(node.create({ spec, incarnation: 1 })).rejects.toMatchObject({ code: 'stale-incarnation' })
    await expect(node.create({ spec, incarnation: 3 })).rejects.toMatchObject({ code: 'wrong-state' })
    expect(host.world.machines.size).toBe(1)
    await node.close()
  })

  it('lets only so many be made at once, and a create that waits can be cancelled', async () => {
    const host = new Host()
    const parts = host.parts()
    const gate = Promise.withResolvers<void>()
    parts.driver.duringCreate = () => gate.promise
    const { node } = await host.open(parts, { maxConcurrentCreates: 2 })
    const creates = [1, 2, 3].map(() => node.create({ spec: host.spec(), incarnation: 1 }))
    const leaving = new AbortController()
    const waiting = node.create({ spec: host.spec(), incarnation: 1 }, leaving.signal)
    await quiet()
    expect(host.world.machines.size).toBe(2)
    leaving.abort()
    await expect(waiting).rejects.toMatchObject({ code: 'cancelled' })
    gate.resolve()
    await Promise.all(creates)
    expect(host.world.machines.size).toBe(3)
    await node.close()
  })

  it('gives answers that nobody else sees when they are changed', async () => {
    const host = new Host()
    const { node } = await host.open()
    const spec = host.spec()
    const made = await node.create({ spec, incarnation: 1 })
    Object.assign(made.limits[0] ?? {}, { enforced: false })
    const [listed] = await node.list()
    expect(listed?.limits[0]?.enforced).toBe(true)
    await node.close()
  })

  it('never writes a token into the log, and keeps none once the machine has ended', async () => {
    const host = new Host()
    const { node, links } = await host.open()
    const spec = host.spec()
    await node.create({ spec, incarnation: 1 })
    const token = Buffer.from(links.tokens[0] ?? []).toString('hex')
    expect(token).toHaveLength(64)
    const [record] = await host.records()
    const kept = Buffer.from(token, 'hex').toString('base64')
    expect(record).toContain(kept)
    await node.stop(spec.id, 1, 100)
    expect((await host.records()).join()).not.toContain(kept)
    await node.close()
    for (const secret of [token, kept, 'hello']) expect(host.log.lines.join()).not.toContain(secret)
  })

  it('undoes what is under way when it closes, and refuses more', async () => {
    const host = new Host()
    const parts = host.parts()
    parts.driver.duringCreate = (_, signal) =>
      new Promise((resolve) => signal.addEventListener('abort', () => resolve()))
    const { node } = await host.open(parts)
    const create = node.create({ spec: host.spec(), incarnation: 1 })
    create.catch(() => {})
    await quiet()
    await node.close()
    await expect(create).rejects.toMatchObject({ code: 'cancelled' })
    expect(host.count).toEqual([0, 0])
    await expect(node.create({ spec: host.spec(), incarnation: 1 })).rejects.toMatchObject({ code: 'cancelled' })
    await expect(node.destroy(newSandboxId(host.random))).rejects.toMatchObject({ code: 'cancelled' })
  })

  it('closes with the signal that it was opened with', async () => {
    const host = new Host()
    const stop = new AbortController()
    const { node, links } = await host.open(undefined, { signal: stop.signal })
    const spec = host.spec()
    await node.create({ spec, incarnation: 1 })
    const guest = await node.guest(spec.id, 1)
    const watch = Array.fromAsync(node.watch(new AbortController().signal))
    stop.abort()
    await node.close()
    expect(await watch).toEqual([])
    expect(await links.open[0]?.closed).toBeUndefined()
    await expect(node.create({ spec: host.spec(), incarnation: 1 })).rejects.toMatchObject({ code: 'cancelled' })
    await expect(guest.metrics()).rejects.toMatchObject({ code: 'cancelled' })
    expect(host.single.exit).toBeUndefined()
  })
})
