import { describe, expect, it } from 'vitest'
import { CoveError, type SandboxSpec } from '@cove/domain'
import type { CoveNode } from '../src/cove-node.ts'
import { Fuse } from './support/fuse.ts'
import { Host, type Daemon } from './support/harness.ts'

/** What the caller of a dead daemon knows: the last state that was acknowledged to it. */
interface Ledger {
  /** Acknowledged state of the sandbox. `absent` before its first create and after its destroy. */
  state: 'absent' | 'running' | 'paused' | 'stopped'
  incarnation: number
  /** The call that was under way, if any. */
  doing: 'nothing' | 'create' | 'pause' | 'resume' | 'stop' | 'destroy' | 'exec'
}

/** Create, use, stop, start again, and destroy; the ledger is written as each call is answered. */
async function life(node: CoveNode, spec: SandboxSpec, ledger: Ledger): Promise<void> {
  const call = async (doing: Ledger['doing'], work: () => Promise<unknown>, state: Ledger['state']): Promise<void> => {
    ledger.doing = doing
    await work()
    ledger.state = state
    ledger.doing = 'nothing'
  }
  const create = (incarnation: number): Promise<void> => {
    const before = ledger.incarnation
    ledger.incarnation = incarnation
    return call('create', () => node.create({ spec, incarnation }), 'running').catch((error: unknown) => {
      ledger.incarnation = before
      throw error
    })
  }
  await create(1)
  await call('exec', async () => await (await node.guest(spec.id, 1)).metrics(), 'running')
  await call('pause', () => node.pause(spec.id, 1, 'disk'), 'paused')
  await call('resume', () => node.resume(spec.id, 1, spec), 'running')
  await call('pause', () => node.pause(spec.id, 1, 'memory'), 'paused')
  await call('pause', () => node.pause(spec.id, 1, 'disk'), 'paused')
  await call('resume', () => node.resume(spec.id, 1, spec), 'running')
  await call('stop', () => node.stop(spec.id, 1, 100), 'stopped')
  await create(2)
  await call('stop', () => node.stop(spec.id, 2, 0), 'stopped')
  await create(3)
  await call('destroy', () => node.destroy(spec.id), 'absent')
}

/** Nothing acknowledged is lost, nothing else is there: the next daemon's view against the ledger. */
async function check(host: Host, { node }: Daemon, spec: SandboxSpec, ledger: Ledger): Promise<void> {
  await node.settled()
  const [sandbox, ...others] = await node.list()
  expect(others).toEqual([])
  const states: (string | undefined)[] = [ledger.state === 'absent' ? undefined : ledger.state]
  const incarnations = [ledger.incarnation]
  if (ledger.doing === 'create') {
    states.push('running')
    incarnations.push(ledger.incarnation - 1)
  }
  if (ledger.doing === 'pause') states.push('paused')
  if (ledger.doing === 'resume') states.push('running')
  if (ledger.doing === 'stop') states.push('stopped', 'ended')
  if (ledger.doing === 'destroy') states.push(undefined, 'ended')
  expect(states).toContain(sandbox?.state)
  expect(incarnations).toContain(sandbox?.incarnation ?? ledger.incarnation)
  expect(await host.records()).toHaveLength(sandbox === undefined ? 0 : 1)
  const onDisk = sandbox?.pausedTo === 'disk'
  expect(host.world.machines.size).toBe(sandbox?.state === 'running' || sandbox?.pausedTo === 'memory' ? 1 : 0)
  expect(host.world.disks.size).toBe(sandbox === undefined || onDisk ? 0 : 1)
  expect(host.world.snapshots.size).toBe(onDisk ? 1 : 0)
  if (sandbox?.state === 'running') await (await node.guest(spec.id, sandbox.incarnation)).metrics()
}

/** The caller repeats what was under way, as the control plane does, and then ends the sandbox. */
async function carryOn(host: Host, { node }: Daemon, spec: SandboxSpec, ledger: Ledger): Promise<void> {
  const repeated = ledger.doing === 'create'
  const made = repeated ? await node.create({ spec, incarnation: ledger.incarnation }) : undefined
  expect(made?.state).toBe(repeated ? 'running' : undefined)
  expect(repeated ? host.single.guest.hostname : spec.id).toBe(spec.id)
  if (ledger.doing === 'pause') await node.pause(spec.id, ledger.incarnation, 'disk')
  if (ledger.doing === 'pause' || ledger.doing === 'resume') {
    await node.resume(spec.id, ledger.incarnation, spec)
    if (host.single.guest.hostname !== spec.id) throw new Error('it woke as somebody else')
    await (await node.guest(spec.id, ledger.incarnation)).metrics()
  }
  if (ledger.doing === 'stop') await node.stop(spec.id, ledger.incarnation, 0)
  await node.destroy(spec.id)
  await node.settled()
  expect(host.count).toEqual([0, 0])
  expect(host.world.snapshots.size).toBe(0)
  expect(await host.records()).toEqual([])
}

/** Lives until the fuse's step. */
async function liveUntil(host: Host, fuse: Fuse, spec: SandboxSpec, ledger: Ledger): Promise<void> {
  const daemon = await Promise.race([host.open(host.parts(fuse)), fuse.death])
  if (daemon !== undefined) await Promise.race([life(daemon.node, spec, ledger), fuse.death])
}

async function stepsOfALife(): Promise<readonly string[]> {
  const host = new Host()
  const daemon = await host.open()
  await daemon.node.ready()
  await life(daemon.node, host.spec(), { state: 'absent', incarnation: 0, doing: 'nothing' })
  return daemon.fuse.steps
}

describe('a daemon that is killed', { timeout: 30_000 }, () => {
  it('at any step loses nothing that was acknowledged and leaves nothing over', async () => {
    const steps = await stepsOfALife()
    expect(steps.length).toBeGreaterThan(60)
    for (let at = 0; at < steps.length; at++) {
      const host = new Host()
      const spec = host.spec()
      const ledger: Ledger = { state: 'absent', incarnation: 0, doing: 'nothing' }
      const fuse = new Fuse(at)
      await liveUntil(host, fuse, spec, ledger)
      expect(fuse.dead, `step ${at}: ${steps[at]}`).toBe(true)
      const next = await host.open()
      try {
        await check(host, next, spec, ledger)
        await carryOn(host, next, spec, ledger)
      } catch (cause) {
        throw new Error(`killed at step ${at}, before "${steps[at]}", during ${ledger.doing}`, { cause })
      }
      await next.node.close()
    }
  })

  it('and killed again at any step of its successor, still loses nothing', async () => {
    const steps = await stepsOfALife()
    expect(steps.length).toBeGreaterThan(60)
    for (let at = 6; at < steps.length; at += 3) {
      for (let second = 2; second < 12; second++) {
        const host = new Host()
        const spec = host.spec()
        const ledger: Ledger = { state: 'absent', incarnation: 0, doing: 'nothing' }
        await liveUntil(host, new Fuse(at), spec, ledger)
        const fuse = new Fuse(second)
        const between = await Promise.race([host.open(host.parts(fuse)), fuse.death])
        if (between !== undefined) await Promise.race([between.node.settled(), fuse.death])
        fuse.die()
        const last = await host.open()
        try {
          await check(host, last, spec, ledger)
          await carryOn(host, last, spec, ledger)
        } catch (cause) {
          throw new Error(`killed at steps ${at} (${steps[at]}) and ${second}, during ${ledger.doing}`, { cause })
        }
        await last.node.close()
      }
    }
  })

  it('while its driver fails every removal leaves the rest to the next', async () => {
    const host = new Host()
    const parts = host.parts()
    const { node, fuse } = await host.open(parts)
    const specs = [host.spec(), host.spec(), host.spec()] as const
    for (const spec of specs) await node.create({ spec, incarnation: 1 })
    parts.driver.beforeDestroy = async () => {
      throw new CoveError('driver-failed', 'device busy')
    }
    await node.stop(specs[0].id, 1, 0)
    await expect(node.destroy(specs[1].id)).rejects.toMatchObject({ code: 'driver-failed' })
    parts.driver.duringCreate = async () => {
      throw new CoveError('no-space', 'full')
    }
    await expect(node.create({ spec: host.spec(), incarnation: 1 })).rejects.toMatchObject({ code: 'no-space' })
    fuse.die()
    const next = await host.open()
    await next.node.settled()
    expect((await next.node.list()).map(({ id, state }) => [id, state])).toEqual(
      expect.arrayContaining([
        [specs[0].id, 'stopped'],
        [specs[2].id, 'running'],
      ]),
    )
    expect(host.count).toEqual([1, 2])
    await next.node.close()
  })
})
