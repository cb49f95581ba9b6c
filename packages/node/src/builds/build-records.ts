import { isErrorCode, parseImageId, type ImageId, type Store } from '@cove/domain'

const PREFIX = 'build/'
const VERSION = 1

export type BuildOutcome =
  | { readonly type: 'done'; readonly image: ImageId }
  | { readonly type: 'failed'; readonly code: string; readonly message: string; readonly fix: string }

/** One build as `node.db` has it; without an outcome it is under way, or was when its daemon was killed. */
export interface BuildRecord {
  readonly id: string
  /** Unix milliseconds. */
  readonly startedAt: number
  readonly outcome?: BuildOutcome
}

export class BuildRecords {
  readonly #store: Store

  constructor(store: Store) {
    this.#store = store
  }

  /** The oldest first. A record that cannot be read is as good as none. */
  async load(): Promise<readonly BuildRecord[]> {
    const records: BuildRecord[] = []
    let page = await this.#store.range({ prefix: PREFIX })
    for (;;) {
      for (const { key, value } of page.items) {
        const record = decode(key.slice(PREFIX.length), value)
        if (record !== undefined) records.push(record)
      }
      const after = page.items.at(-1)?.key
      if (!page.more || after === undefined) break
      page = await this.#store.range({ prefix: PREFIX, after, revision: page.revision })
    }
    return records.toSorted((one, other) => one.startedAt - other.startedAt)
  }

  async put({ id, startedAt, outcome }: BuildRecord): Promise<void> {
    const value = Buffer.from(JSON.stringify({ v: VERSION, startedAt, ...(outcome === undefined ? {} : { outcome }) }))
    await this.#store.txn([], [{ type: 'put', key: PREFIX + id, value }])
  }

  async remove(id: string): Promise<void> {
    await this.#store.txn([], [{ type: 'delete', key: PREFIX + id }])
  }
}

function decode(id: string, value: Uint8Array): BuildRecord | undefined {
  try {
    const { v, startedAt, outcome } = JSON.parse(Buffer.from(value).toString('utf8')) as Record<string, unknown>
    if (v !== VERSION || typeof startedAt !== 'number') return undefined
    if (outcome === undefined) return { id, startedAt }
    return { id, startedAt, outcome: readOutcome(outcome as Record<string, unknown>) }
  } catch {
    return undefined
  }
}

function readOutcome({ type, image, code, message, fix }: Record<string, unknown>): BuildOutcome {
  if (type === 'done') return { type, image: parseImageId(String(image)) }
  const known = typeof code === 'string' && isErrorCode(code) ? code : 'internal'
  return { type: 'failed', code: known, message: String(message), fix: String(fix) }
}
