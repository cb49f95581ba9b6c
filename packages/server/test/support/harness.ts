import { silentLog, type Clock, type Store } from '@cove/domain'
import { systemClock, systemRandom } from '@cove/domain/system'
import { MemoryStore } from '@cove/store'
import { hashKey, keyRing, openServer, type CoveServer, type ServerOptions } from '../../src/index.ts'
import { StubNode } from './stub-node.ts'

export const KEY = 'cove_test-key'
export const OTHER_KEY = 'cove_other-key'
/** What the first key sees. */
export const SCOPE = { project: 'default' }

export interface House extends AsyncDisposable {
  readonly store: Store
  readonly node: StubNode
  readonly server: CoveServer
  /** `http://127.0.0.1:port` once it listens. */
  listen(): Promise<string>
}

/** A server over a store in memory and a node that is a stub. */
export async function openHouse(
  options: Partial<ServerOptions> & { readonly store?: Store; readonly node?: StubNode; readonly clock?: Clock } = {},
): Promise<House> {
  const clock = options.clock ?? systemClock
  const store = options.store ?? new MemoryStore({ clock })
  const node = options.node ?? new StubNode()
  const server = await openServer({
    random: systemRandom,
    log: silentLog,
    version: '0.0.0',
    installation: 'test',
    keys: keyRing([
      { key: 'test', ...SCOPE, role: 'admin', operator: true, hash: hashKey(KEY) },
      { key: 'other', project: 'other', role: 'admin', operator: false, hash: hashKey(OTHER_KEY) },
    ]),
    ...options,
    clock,
    store,
    node,
  })
  await server.reconciled
  return {
    store,
    node,
    server,
    async listen() {
      const { port } = await server.listen({ host: '127.0.0.1', port: 0 })
      return `http://127.0.0.1:${port}`
    },
    async [Symbol.asyncDispose]() {
      await server.close(1_000)
    },
  }
}
