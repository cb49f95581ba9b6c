import { CoveError, STORE_LIMITS, type Change, type Clock, type Log, type SandboxId, type Store } from '@cove/domain'
import type { SandboxView } from '../sandboxes/view.ts'
import { portAddress, type PortAddress } from './preview-hosts.ts'

const PREFIX = 'port/public/'
/** Public ports of one sandbox. */
const LIMIT = 64
const EMPTY: ReadonlySet<number> = new Set()

const keyOf = ({ sandbox, port }: PortAddress): string => `${PREFIX}${sandbox}/${port}`

/** Which ports are open to everybody. Kept in the store, held in memory, removed with their sandbox. */
export class Shares {
  readonly #store: Store
  readonly #view: SandboxView
  readonly #clock: Clock
  readonly #log: Log
  readonly #public = new Map<SandboxId, Set<number>>()
  /** Ports that are being written down: they count, so that many at once are no way around the limit. */
  readonly #opening = new Map<SandboxId, number>()

  constructor(store: Store, view: SandboxView, clock: Clock, log: Log) {
    this.#store = store
    this.#view = view
    this.#clock = clock
    this.#log = log
  }

  isPublic({ sandbox, port }: PortAddress): boolean {
    return this.#public.get(sandbox)?.has(port) === true
  }

  of(sandbox: SandboxId): ReadonlySet<number> {
    return this.#public.get(sandbox) ?? EMPTY
  }

  /** Twice is no error. */
  async open(address: PortAddress): Promise<void> {
    const ports = this.of(address.sandbox)
    if (ports.has(address.port)) return
    const opening = this.#opening.get(address.sandbox) ?? 0
    if (ports.size + opening >= LIMIT) {
      throw new CoveError('limit-reached', `${LIMIT} ports of sandbox ${address.sandbox} are public already`, {
        sandbox: address.sandbox,
      })
    }
    this.#opening.set(address.sandbox, opening + 1)
    try {
      await this.#store.txn([], [{ type: 'put', key: keyOf(address), value: new Uint8Array() }])
      this.#set(address, true)
    } finally {
      const left = (this.#opening.get(address.sandbox) ?? 1) - 1
      if (left > 0) this.#opening.set(address.sandbox, left)
      else this.#opening.delete(address.sandbox)
    }
    // The sandbox may have ended meanwhile, and what ends it has looked already.
    if (this.#hasEnded(address.sandbox)) await this.#forget(address.sandbox)
  }

  /** Twice is no error. */
  async close(address: PortAddress): Promise<void> {
    await this.#store.txn([], [{ type: 'delete', key: keyOf(address) }])
    this.#set(address, false)
  }

  /** Loads what is shared, and lets go of what belongs to sandboxes that have ended while nobody looked. */
  async start(signal: AbortSignal): Promise<void> {
    const revision = await this.#load()
    this.#view.listen(({ spec, status }) => {
      if (status.state === 'deleted') this.#forgetLater(spec.id)
    })
    for (const id of this.#public.keys()) if (this.#hasEnded(id)) this.#forgetLater(id)
    void this.#follow(revision, signal)
  }

  async #load(): Promise<number> {
    this.#public.clear()
    let page = await this.#store.range({ prefix: PREFIX, limit: STORE_LIMITS.pageItems })
    const { revision } = page
    for (;;) {
      for (const { key } of page.items) this.#apply(key, true)
      const after = page.items.at(-1)?.key
      if (!page.more || after === undefined) return revision
      page = await this.#store.range({ prefix: PREFIX, after, revision })
    }
  }

  /** What other servers share and unshare. */
  async #follow(loaded: number, signal: AbortSignal): Promise<void> {
    let fromRevision = loaded + 1
    while (!signal.aborted) {
      try {
        for await (const batch of this.#store.watch({ prefix: PREFIX, fromRevision, signal })) {
          for (const change of batch.changes) this.#apply(changedKey(change), change.type === 'put')
          fromRevision = batch.revision + 1
        }
      } catch (error) {
        const { code, message } = CoveError.from(error)
        if (code === 'store-closed') return
        this.#log.warn('the watch on shared ports broke', { code, error: message })
        if (code === 'store-compacted')
          fromRevision = await this.#load().then(
            (at) => at + 1,
            () => fromRevision,
          )
      }
      await this.#clock.sleep(1_000, signal).catch(() => undefined)
    }
  }

  #apply(key: string, isPublic: boolean): void {
    const [id = '', digits = ''] = key.slice(PREFIX.length).split('/')
    const address = portAddress(digits, id)
    if (address !== undefined) this.#set(address, isPublic)
  }

  #set({ sandbox, port }: PortAddress, isPublic: boolean): void {
    const ports = this.#public.get(sandbox) ?? new Set()
    if (isPublic) ports.add(port)
    else ports.delete(port)
    if (ports.size > 0) this.#public.set(sandbox, ports)
    else this.#public.delete(sandbox)
  }

  #hasEnded(id: SandboxId): boolean {
    return (this.#view.sandbox(id)?.status.state ?? 'deleted') === 'deleted'
  }

  #forgetLater(id: SandboxId): void {
    this.#forget(id).catch((error: unknown) => {
      // The next start looks again.
      this.#log.warn('shared ports of an ended sandbox stay for now', { sandbox: id, error: String(error) })
    })
  }

  async #forget(id: SandboxId): Promise<void> {
    const ports = [...this.of(id)]
    this.#public.delete(id)
    // Several servers at once may have gone beyond the limit, and a transaction has one of its own.
    while (ports.length > 0) {
      const some = ports.splice(0, LIMIT)
      await this.#store.txn(
        [],
        some.map((port) => ({ type: 'delete', key: keyOf({ sandbox: id, port }) })),
      )
    }
  }
}

function changedKey(change: Change): string {
  return change.type === 'put' ? change.item.key : change.key
}
