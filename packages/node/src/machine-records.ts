import { CoveError, type Compare, type Op, type SandboxId, type Store } from '@cove/domain'
import { decodeRecord, encodeRecord, type MachineRecord } from './machine-record.ts'

const MACHINES = 'machine/'
const GENERATION = 'daemon/generation'

/** Machine truth in `node.db`. The store belongs to this node alone, so what was written last is what holds. */
export class MachineRecords {
  readonly #store: Store

  constructor(store: Store) {
    this.#store = store
  }

  async load(): Promise<readonly MachineRecord[]> {
    const records: MachineRecord[] = []
    let page = await this.#store.range({ prefix: MACHINES })
    for (;;) {
      for (const item of page.items) records.push(decodeRecord(item.key, item.value))
      const after = page.items.at(-1)?.key
      if (!page.more || after === undefined) return records
      page = await this.#store.range({ prefix: MACHINES, after, revision: page.revision })
    }
  }

  async put(record: MachineRecord): Promise<void> {
    await this.#store.txn([], [{ type: 'put', key: MACHINES + record.sandbox, value: encodeRecord(record) }])
  }

  async remove(id: SandboxId): Promise<void> {
    await this.#store.txn([], [{ type: 'delete', key: MACHINES + id }])
  }

  /** A number that is higher at every start of the daemon, durable before it is used. */
  async nextGeneration(): Promise<number> {
    const item = await this.#store.get(GENERATION)
    const last = item === undefined ? 0 : Number(Buffer.from(item.value).toString('utf8'))
    if (!Number.isSafeInteger(last)) {
      throw new CoveError('store-corrupt', `the record ${GENERATION} cannot be read`, { key: GENERATION })
    }
    const next = last + 1
    const unchanged: Compare =
      item === undefined ? { key: GENERATION, absent: true } : { key: GENERATION, modRevision: item.modRevision }
    const put: Op = { type: 'put', key: GENERATION, value: Buffer.from(String(next)) }
    const { ok } = await this.#store.txn([unchanged], [put])
    if (!ok) throw new CoveError('store-locked', 'another daemon writes to this node.db')
    return next
  }
}
