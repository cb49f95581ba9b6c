import type { McpServer, WebStandardStreamableHTTPServerTransport } from '@modelcontextprotocol/server'
import type { Principal } from '../../auth/principal.ts'
import { MCP_LIMITS } from './settings.ts'

export interface Session {
  readonly server: McpServer
  readonly transport: WebStandardStreamableHTTPServerTransport
}

interface Kept extends Session {
  readonly id: string
  readonly owner: string
  /** Aborts with the session. */
  readonly ended: AbortController
  /** Answers that are being sent. */
  busy: number
  /** By the monotonic clock. */
  usedAt: number
}

/**
 * The sessions of clients that speak revision 2025-11-25 or older. A session belongs to the key that opened it, and
 * holds nothing that the client could miss after it was forgotten: environments are found by key and name.
 */
export class Sessions {
  /** The one that was not used for the longest time comes first. */
  readonly #kept = new Map<string, Kept>()
  readonly #monotonic: () => number

  constructor(monotonic: () => number) {
    this.#monotonic = monotonic
  }

  get size(): number {
    return this.#kept.size
  }

  /** Keeps a new session; makes room by ending the one that was not used for the longest time. */
  add(id: string, principal: Principal, session: Session): void {
    this.#endIdle()
    const owner = ownerOf(principal)
    const own = [...this.#kept.values()].filter((kept) => kept.owner === owner)
    if (own.length >= MCP_LIMITS.sessionsPerKey) this.#endOldest(own)
    if (this.#kept.size >= MCP_LIMITS.sessions) this.#endOldest([...this.#kept.values()])
    const ended = new AbortController()
    this.#kept.set(id, { ...session, id, owner, ended, busy: 0, usedAt: this.#monotonic() })
    principal.ended?.addEventListener('abort', () => this.remove(id), { once: true, signal: ended.signal })
  }

  /** Undefined for one that never was, has ended, or belongs to another key: the three cannot be told apart. */
  find(id: string, principal: Principal): Session | undefined {
    this.#endIdle()
    const kept = this.#kept.get(id)
    return kept?.owner === ownerOf(principal) ? kept : undefined
  }

  /** Counts as used until the returned object is disposed. */
  use(id: string | undefined): Disposable {
    const kept = id === undefined ? undefined : this.#kept.get(id)
    if (kept === undefined) return { [Symbol.dispose]: () => undefined }
    this.#touch(kept)
    kept.busy++
    return {
      [Symbol.dispose]: () => {
        kept.busy--
        this.#touch(kept)
      },
    }
  }

  /** Ends its streams and what it has asked for. */
  remove(id: string): void {
    const kept = this.#kept.get(id)
    if (kept === undefined) return
    this.#kept.delete(id)
    kept.ended.abort()
    kept.server.close().catch(() => undefined)
  }

  /** Ends the streams on which nothing is being answered; calls under way go on. */
  endStreams(): void {
    for (const { transport } of this.#kept.values()) transport.closeStandaloneSSEStream()
  }

  endAll(): void {
    for (const id of this.#kept.keys()) this.remove(id)
  }

  #touch(kept: Kept): void {
    kept.usedAt = this.#monotonic()
    if (!this.#kept.delete(kept.id)) return
    this.#kept.set(kept.id, kept)
  }

  #endIdle(): void {
    const before = this.#monotonic() - MCP_LIMITS.sessionIdleMs
    for (const { id, busy, usedAt } of this.#kept.values()) {
      if (usedAt > before) return
      if (busy === 0) this.remove(id)
    }
  }

  #endOldest(candidates: readonly Kept[]): void {
    const oldest = candidates.find(({ busy }) => busy === 0) ?? candidates[0]
    if (oldest !== undefined) this.remove(oldest.id)
  }
}

function ownerOf({ project, key }: Principal): string {
  return `${project}/${key}`
}
