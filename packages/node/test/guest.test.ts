import { describe, expect, it } from 'vitest'
import { newProcessId, type MachineId, type ProcessStream } from '@cove/domain'
import { systemClock } from '@cove/domain/system'
import { FakeGuest } from '@cove/guest-link/testing'
import { openNode, type CoveNode } from '@cove/node'
import type { FakeDriver } from './support/fake-world.ts'
import { Fuse } from './support/fuse.ts'
import { Host } from './support/harness.ts'

/** A host whose machines have guests that speak the protocol. */
class SpeakingHost extends Host {
  readonly guests = new Map<MachineId, FakeGuest>()

  async openSpeaking(): Promise<{ node: CoveNode; driver: FakeDriver; fuse: Fuse }> {
    const { driver, fuse } = this.parts(new Fuse())
    driver.connect = async ({ id }) => await this.#guestOf(id).connect()
    const node = await openNode({
      name: 'here',
      drivers: [driver],
      store: this.store,
      clock: systemClock,
      random: this.random,
      log: this.log,
    })
    return { node, driver, fuse }
  }

  #guestOf(id: MachineId): FakeGuest {
    const known = this.guests.get(id)
    if (known !== undefined) return known
    const guest = new FakeGuest({ clock: systemClock, random: this.random })
    this.guests.set(id, guest)
    void guest.exited.then(() => this.world.end(id, { kind: 'exited', code: 0 }))
    return guest
  }
}

async function outputOf({ events }: ProcessStream): Promise<string> {
  let text = ''
  for await (const event of events) if (event.type === 'output') text += Buffer.from(event.data).toString('utf8')
  return text
}

describe('a guest behind a node', () => {
  it('runs commands and keeps files over the real protocol, also for the daemon after a kill', async () => {
    const host = new SpeakingHost()
    const first = await host.openSpeaking()
    const spec = host.spec({ name: 'box' })
    await first.node.create({ spec, incarnation: 1 })
    const [guest] = host.guests.values()
    expect(guest).toMatchObject({ hostname: 'box', env: { GREETING: 'hello' } })

    const id = newProcessId(host.random)
    const handle = await first.node.guest(spec.id, 1)
    const content = Buffer.from('kept over the kill')
    await handle.writeFile('/home/user/note', chunks(content))
    expect(await outputOf(await handle.start({ id, argv: ['echo', 'one', 'two'], env: {} }))).toBe('one two\n')
    first.fuse.die()

    const second = await host.openSpeaking()
    const again = await second.node.guest(spec.id, 1)
    expect(await outputOf(await again.attach(id, 0))).toBe('one two\n')
    const file = await again.readFile('/home/user/note')
    expect(Buffer.concat(await Array.fromAsync(file.content))).toEqual(content)

    expect(await second.node.stop(spec.id, 1, 1_000)).toEqual({ kind: 'exited', code: 0 })
    await expect(again.metrics()).rejects.toMatchObject({ code: 'wrong-state' })
    await second.node.destroy(spec.id)
    expect(host.world.isEmpty).toBe(true)
    await second.node.close()
  })
})

async function* chunks(...parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array, void> {
  yield* parts
}
