import { silentLog } from '@cove/domain'
import { systemClock, systemRandom } from '@cove/domain/system'
import { openNode } from '@cove/node'
import { Cove, type CoveOptions } from '@cove/sdk'
import { hashKey, keyRing, openServer, type CoveServer } from '@cove/server'
import { MemoryStore } from '@cove/store'
import { createFakeDriver } from '../../packages/drivers/src/fake/driver.ts'
import { FakeWorld } from '../../packages/drivers/src/fake/fake-world.ts'

const KEY = 'cove_test-key'

export interface FakeHouse extends AsyncDisposable {
  readonly url: string
  readonly apiKey: string
  readonly server: CoveServer
  readonly world: FakeWorld
  client(options?: CoveOptions): Cove
}

/** The real server and the real node over machines in memory: everything but the wall. */
export async function openFakeHouse(): Promise<FakeHouse> {
  await using undo = new AsyncDisposableStack()
  const clock = systemClock
  const random = systemRandom
  const world = new FakeWorld(clock, random)
  const node = undo.use(
    await openNode({
      name: 'local',
      drivers: [createFakeDriver({ world })],
      store: new MemoryStore({ clock }),
      clock,
      random,
    }),
  )
  const server = undo.use(
    await openServer({
      store: new MemoryStore({ clock }),
      node,
      clock,
      random,
      log: silentLog,
      version: '0.0.0',
      installation: 'test',
      keys: keyRing([{ key: 'test', project: 'default', role: 'admin', operator: true, hash: hashKey(KEY) }]),
    }),
  )
  const { port } = await server.listen({ host: '127.0.0.1', port: 0 })
  const url = `http://127.0.0.1:${port}`
  const owned = undo.move()
  return {
    url,
    apiKey: KEY,
    server,
    world,
    client: (options = {}) => new Cove({ url, apiKey: KEY, ...options }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
