import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CoveError, type SandboxSpec } from '@cove/domain'
import type { CoveNode } from '../src/cove-node.ts'
import { Fuse } from './support/fuse.ts'
import { Host, quiet, stateOf, type Daemon } from './support/harness.ts'

type Action = 'create' | 'cancelled create' | 'stop' | 'destroy' | 'end' | 'call' | 'drop links' | 'pass time' | 'kill'

const action = fc.record({
  what: fc.constantFrom<Action>(
    'create',
    'create',
    'cancelled create',
    'stop',
    'destroy',
    'end',
    'call',
    'drop links',
    'pass time',
    'kill',
  ),
  sandbox: fc.nat(2),
  /** Whether the next action begins before this one is answered. */
  overlap: fc.boolean(),
  fails: fc.boolean(),
})

/** What callers may be told in the middle of a storm; anything else is a fault. */
const HONEST = new Set([
  'wrong-state',
  'sandbox-not-found',
  'stale-incarnation',
  'cancelled',
  'busy',
  'driver-failed',
  'guest-unreachable',
])

async function act(host: Host, { node, links }: Daemon, what: Action, spec: SandboxSpec, turn: number): Promise<void> {
  const known = await stateOf(node, spec.id)
  const incarnation = known?.incarnation ?? 1
  switch (what) {
    case 'create': {
      const next = known?.state === 'stopped' || known?.state === 'ended' ? incarnation + 1 : incarnation
      await node.create({ spec, incarnation: next })
      return
    }
    case 'cancelled create': {
      const cancelled = new AbortController()
      const create = node.create({ spec, incarnation: incarnation + (turn % 2) }, cancelled.signal)
      await Promise.resolve()
      cancelled.abort()
      await create
      return
    }
    case 'stop':
      await node.stop(spec.id, incarnation, turn % 2)
      return
    case 'destroy':
      await node.destroy(spec.id)
      return
    case 'end':
      for (const machine of host.world.machines.values()) {
        if (machine.spec.hostname === spec.id) machine.end({ kind: 'exited', code: 1 })
      }
      return
    case 'call':
      await (await node.guest(spec.id, incarnation)).metrics()
      return
    case 'drop links':
      await Promise.all(links.open.map((link) => link.close()))
      return
    case 'pass time':
      await host.clock.advance(500)
      return
    case 'kill':
      return
  }
}

/** Every machine is one that the node lists as running, one disk for each sandbox, one record too. */
async function checkTidy(host: Host, node: CoveNode): Promise<void> {
  const listed = await node.list()
  expect(host.world.machines.size).toBe(listed.filter(({ state }) => state === 'running').length)
  expect(host.world.disks.size).toBe(listed.length)
  expect(await host.records()).toHaveLength(listed.length)
}

async function allow(): Promise<void> {}

describe('a node in a storm', () => {
  it('of overlapping calls, failing drivers and sudden deaths always ends tidy', async () => {
    const script = fc.array(action, { minLength: 1, maxLength: 25 })
    const property = fc.asyncProperty(script, async (actions) => {
      const host = new Host()
      const specs = [host.spec(), host.spec(), host.spec()]
      let daemon = await host.open()
      let dishonest: unknown
      let calls: Promise<void>[] = []
      for (const [turn, { what, sandbox, overlap, fails }] of actions.entries()) {
        const spec = specs[sandbox] ?? host.spec()
        const fault = async (): Promise<void> => {
          if (fails) throw new CoveError('driver-failed', 'device busy')
        }
        daemon.driver.duringCreate = fault
        daemon.driver.beforeDestroy = fault
        if (what === 'kill') {
          daemon.fuse.die()
          calls = []
          daemon = await host.open(host.parts(new Fuse()))
          continue
        }
        const { fuse } = daemon
        const call = act(host, daemon, what, spec, turn).catch((error: unknown) => {
          const honest = error instanceof CoveError && HONEST.has(error.code)
          if (!honest && !fuse.dead) dishonest ??= error
        })
        calls.push(call)
        if (overlap) await Promise.resolve()
        else await Promise.race([Promise.all(calls), host.clock.advance(12_000)])
      }
      daemon.driver.duringCreate = allow
      daemon.driver.beforeDestroy = allow
      await host.clock.advance(120_000)
      await Promise.all(calls)
      await daemon.node.settled()
      await quiet()
      if (dishonest !== undefined) throw new Error('a fault was told to a caller', { cause: dishonest })
      await checkTidy(host, daemon.node)
      for (const spec of specs) await daemon.node.destroy(spec.id)
      expect(host.count).toEqual([0, 0])
      await daemon.node.close()
      expect(await host.records()).toEqual([])
    })
    await expect(fc.assert(property, { numRuns: 200 })).resolves.toBeUndefined()
  }, 30_000)
})
