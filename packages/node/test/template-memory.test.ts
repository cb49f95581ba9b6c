import { describe, expect, it } from 'vitest'
import { newSnapshotId, type PoolSpec, type SnapshotId, type TemplateMemory } from '@cove/domain'
import type { CoveNode } from '../src/cove-node.ts'
import { Host, quiet } from './support/harness.ts'

const START = { argv: ['sleep', '1000'] }

/** What the daemon of a template's build does. */
async function saved(
  host: Host,
  node: CoveNode,
): Promise<{ readonly memory: TemplateMemory; readonly id: SnapshotId }> {
  const spec = host.spec({ start: START, env: { FROM: 'template' } })
  await node.create({ spec, incarnation: 1 })
  await (await node.guest(spec.id, 1)).makeDirectory('/home/user/made')
  const id = newSnapshotId(host.random)
  await node.snapshot(spec.id, 1, { id, kind: 'memory' }, AbortSignal.timeout(5_000))
  await node.destroy(spec.id)
  return { memory: { snapshot: id, driver: 'fake' }, id }
}

describe('a template that is kept with its memory', () => {
  it('gives machines that go on from there as somebody of their own, and start anew on their disk', async () => {
    const host = new Host()
    const { node, links } = await host.open()
    const { memory } = await saved(host, node)
    const spec = host.spec({ memory, start: START, name: 'mine', env: { FROM: 'create' } })
    const made = await node.create({ spec, incarnation: 1 })
    expect(made).toMatchObject({ state: 'running', restored: true })
    expect(made.notRestored).toBeUndefined()
    expect(host.single.guest).toMatchObject({ hostname: 'mine', env: { FROM: 'create' } })
    // The start command is of the memory, and is not run again.
    expect(host.single.guest.processes.size).toBe(0)
    const guest = await node.guest(spec.id, 1)
    expect((await guest.stat('/home/user/made')).type).toBe('directory')
    expect(new Set(links.tokens.map((token) => Buffer.from(token).toString('hex'))).size).toBe(1)
    await node.stop(spec.id, 1, 0)
    expect((await node.create({ spec, incarnation: 2 })).restored).toBeUndefined()
    expect(host.single.guest.processes.size).toBe(1)
    expect((await (await node.guest(spec.id, 2)).stat('/home/user/made')).type).toBe('directory')
    await node.close()
  })

  it('starts what does not fit or is not there any more, says why, and leaves nothing of the try', async () => {
    const host = new Host()
    const { node, driver } = await host.open()
    const { memory, id } = await saved(host, node)
    const made = async (wish: TemplateMemory) => {
      const spec = host.spec({ memory: wish, start: START })
      const { restored, notRestored } = await node.create({ spec, incarnation: 1 })
      expect(host.single.guest.processes.size).toBe(1)
      await node.destroy(spec.id)
      await node.settled()
      expect(host.count).toEqual([0, 0])
      return [restored, notRestored]
    }
    expect(await made({ ...memory, unfit: 'it was saved without volumes' })).toEqual([
      undefined,
      'it was saved without volumes',
    ])
    expect(await made({ ...memory, driver: 'other' })).toEqual([undefined, 'it is kept by other, not by fake'])
    let tries = 0
    driver.duringCreate = async () => {
      if (tries++ === 0) throw new Error('it was saved by another version')
    }
    expect(await made(memory)).toEqual([undefined, 'it was saved by another version'])
    await node.snapshots.remove(id)
    expect(await made(memory)).toEqual([undefined, expect.stringContaining('no memory snapshot')])
    await node.close()
  })

  it('fills pools, whose machines are for sandboxes of this template only', async () => {
    const host = new Host()
    const { node } = await host.open()
    const { memory, id } = await saved(host, node)
    const { limits, network } = host.spec()
    const pool: PoolSpec = { name: 'warm', from: { kind: 'host' }, memory, limits, network, min: 1, max: 1 }
    await node.pools.set([pool])
    const filled = async (): Promise<void> => {
      for (let turn = 0; turn < 200 && (await node.pools.list())[0]?.ready !== 1; turn++) await quiet(1)
    }
    await filled()
    const plain = host.spec()
    expect((await node.create({ spec: plain, incarnation: 1 })).pooled).toBeUndefined()
    await node.destroy(plain.id)
    const spec = host.spec({ memory, start: START, name: 'mine' })
    expect(await node.create({ spec, incarnation: 1 })).toMatchObject({ pooled: true, restored: true })
    const guests = [...host.world.machines.values()].map(({ guest }) => guest)
    expect(guests.filter(({ hostname }) => hostname === 'mine')).toHaveLength(1)
    await filled()
    // What cannot go on any more fills it with machines that start.
    await node.pools.set([])
    await node.snapshots.remove(id)
    await node.pools.set([{ ...pool, name: 'cold' }])
    await filled()
    const cold = host.spec({ memory, start: START })
    expect((await node.create({ spec: cold, incarnation: 1 })).restored).toBeUndefined()
    await node.close()
  })
})
