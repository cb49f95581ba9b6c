import { describe, expect, it } from 'vitest'
import { newProcessId, type ProcessStream } from '@cove/domain'
import { Host } from './support/harness.ts'

async function outputOf({ events }: ProcessStream): Promise<string> {
  let text = ''
  for await (const event of events) if (event.type === 'output') text += Buffer.from(event.data).toString('utf8')
  return text
}

async function* chunks(...parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array, void> {
  yield* parts
}

describe('a guest behind a node', () => {
  it('runs commands and keeps files, also for the daemon after a kill and for the next incarnation', async () => {
    const host = new Host()
    const first = await host.open()
    const spec = host.spec()
    await first.node.create({ spec, incarnation: 1 })
    const id = newProcessId(host.random)
    const handle = await first.node.guest(spec.id, 1)
    const content = Buffer.from('kept over the kill')
    await handle.writeFile('/home/user/note', chunks(content))
    expect(await outputOf(await handle.start({ id, argv: ['echo', 'one', 'two'], env: {} }))).toBe('one two\n')
    first.fuse.die()

    const { node } = await host.open()
    const again = await node.guest(spec.id, 1)
    expect(await outputOf(await again.attach(id, 0))).toBe('one two\n')
    expect(await node.stop(spec.id, 1, 1_000)).toEqual({ kind: 'exited', code: 0 })
    await expect(again.metrics()).rejects.toMatchObject({ code: 'wrong-state' })

    await node.create({ spec, incarnation: 2 })
    const file = await (await node.guest(spec.id, 2)).readFile('/home/user/note')
    expect(Buffer.concat(await Array.fromAsync(file.content))).toEqual(content)
    await node.destroy(spec.id)
    expect(host.count).toEqual([0, 0])
    await node.close()
  })
})
