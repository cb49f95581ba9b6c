import { describe, expect, it } from 'vitest'
import type { StartCommand } from '@cove/domain'
import { Host, quiet, stateOf } from './support/harness.ts'

const SERVE = ['sleep', 'infinity']

/** A create under way, and the guest of its machine once its start command runs. */
async function begin(host: Host, start: StartCommand, daemon = host.open()) {
  const { node } = await daemon
  const spec = host.spec({ start })
  const created = node.create({ spec, incarnation: 1 })
  created.catch(() => {})
  while (host.count[0] === 0 || host.single.guest.processes.size === 0) await quiet(1)
  return { node, spec, created, guest: host.single.guest }
}

describe('a start command', () => {
  it('without a check is ready when it has been started', async () => {
    const host = new Host()
    const { node, spec, created } = await begin(host, { argv: SERVE })
    expect((await created).state).toBe('running')
    const guest = await node.guest(spec.id, 1)
    expect(await guest.processes()).toMatchObject([{ id: 'start', argv: SERVE }])
    await node.close()
  })

  it('is ready when something listens on its port, and nobody reaches the sandbox before', async () => {
    const host = new Host()
    const start = { argv: SERVE, ready: { kind: 'port', port: 80, timeoutMs: 60_000 } } as const
    const { node, spec, created, guest } = await begin(host, start)
    await host.clock.advance(10_000)
    expect((await stateOf(node, spec.id))?.state).toBe('creating')
    await expect(node.guest(spec.id, 1)).rejects.toMatchObject({ code: 'wrong-state' })
    guest.servers.set(80, (stream) => stream.resume())
    await host.clock.advance(2_000)
    expect((await created).state).toBe('running')
    await node.close()
  })

  it('is ready when its check ends with 0, tried again until it does', async () => {
    const host = new Host()
    const start = {
      argv: SERVE,
      ready: { kind: 'command', argv: ['sh', '-c', 'cat /tmp/up'], timeoutMs: 60_000 },
    } as const
    const { node, created, guest } = await begin(host, start)
    await host.clock.advance(5_000)
    guest.files.write('/tmp/up', Buffer.from('up'), { name: 'user', uid: 1000, home: '/home/user' })
    await host.clock.advance(2_000)
    expect((await created).state).toBe('running')
    await node.close()
  })

  it('that goes to the background by itself is waited for all the same', async () => {
    const host = new Host()
    const start = { argv: ['true'], ready: { kind: 'port', port: 80, timeoutMs: 60_000 } } as const
    const { node, created, guest } = await begin(host, start)
    await host.clock.advance(1_000)
    guest.servers.set(80, (stream) => stream.resume())
    await host.clock.advance(2_000)
    expect((await created).state).toBe('running')
    await node.close()
  })

  it.each<[string, StartCommand, string]>([
    [
      'it ends too early',
      { argv: ['sh', '-c', 'echo out of luck; exit 3'], ready: { kind: 'port', port: 80, timeoutMs: 60_000 } },
      'out of luck',
    ],
    [
      'it is not ready in time',
      { argv: ['sh', '-c', 'echo warming up; sleep infinity'], ready: { kind: 'port', port: 80, timeoutMs: 3_000 } },
      'was not ready in 3000 ms; it has said last:\nwarming up',
    ],
    ['it is no program', { argv: ['no-such-program'] }, 'cannot be started'],
  ])('fails the create with the reason when %s, and leaves nothing', async (_name, start, message) => {
    const host = new Host()
    const { node } = await host.open()
    const spec = host.spec({ start })
    const created = node.create({ spec, incarnation: 1 })
    created.catch(() => {})
    await host.clock.advance(5_000)
    await expect(created).rejects.toMatchObject({ code: 'start-failed', message: expect.stringContaining(message) })
    await node.settled()
    expect(host.count).toEqual([0, 0])
    expect(await host.records()).toEqual([])
    await node.close()
  })

  it('does not hold up a delete', async () => {
    const host = new Host()
    const { node, spec, created } = await begin(host, {
      argv: SERVE,
      ready: { kind: 'port', port: 80, timeoutMs: 60_000 },
    })
    await node.destroy(spec.id)
    await expect(created).rejects.toMatchObject({ code: 'wrong-state' })
    expect(host.count).toEqual([0, 0])
    await node.close()
  })

  it('is found again by a create that is repeated after the daemon was killed', async () => {
    const host = new Host()
    const ready = { kind: 'port', port: 80, timeoutMs: 60_000 } as const
    const first = await host.open()
    const { spec, guest } = await begin(host, { argv: SERVE, ready }, Promise.resolve(first))
    await quiet()
    first.fuse.die()
    const { node } = await host.open()
    const again = node.create({ spec, incarnation: 1 })
    guest.servers.set(80, (stream) => stream.resume())
    await host.clock.advance(2_000)
    expect((await again).state).toBe('running')
    expect([...guest.processes.keys()]).toEqual(['start'])
    await node.close()
  })

  it('that fails after the daemon was killed leaves nothing either, but for a disk that was there before', async () => {
    for (const incarnation of [1, 2]) {
      const host = new Host()
      const first = await host.open()
      const plain = host.spec()
      if (incarnation === 2) {
        await first.node.create({ spec: plain, incarnation: 1 })
        await first.node.stop(plain.id, 1, 0)
        await first.node.settled()
      }
      const ready = { kind: 'port', port: 80, timeoutMs: 3_000 } as const
      const spec = { ...plain, start: { argv: SERVE, ready } }
      first.node.create({ spec, incarnation }).catch(() => {})
      while (host.count[0] === 0 || host.single.guest.processes.size === 0) await quiet(1)
      await quiet()
      first.fuse.die()
      const { node } = await host.open()
      const again = node.create({ spec, incarnation })
      again.catch(() => {})
      await host.clock.advance(5_000)
      await expect(again).rejects.toMatchObject({ code: 'start-failed' })
      await node.settled()
      expect(host.count).toEqual([0, incarnation - 1])
      expect((await stateOf(node, spec.id))?.state).toBe(incarnation === 1 ? undefined : 'stopped')
      await node.close()
    }
  })
})
