import type { Sandbox } from '@cove/domain'
import type { Connections } from '../../ports/connections.ts'
import type { PortAddress } from '../../ports/preview-hosts.ts'
import type { Sandboxes } from '../../sandboxes/sandboxes.ts'
import { GuestConnection } from './guest-connection.ts'

/** Idle connections kept for one port. */
const IDLE_PER_PORT = 64
/** Shorter than what servers commonly wait: one that closes just then would cost the request. */
const IDLE_MS = 4_000
const SWEEP_MS = 1_000

interface Idle {
  readonly connection: GuestConnection
  readonly since: number
}

/** Connections to servers in sandboxes that wait for their next request. Their end is `Connections`' to see to. */
export class ConnectionPool {
  readonly #sandboxes: Sandboxes
  readonly #connections: Connections
  readonly #idle = new Map<string, Idle[]>()
  #timer: NodeJS.Timeout | undefined

  constructor(sandboxes: Sandboxes, connections: Connections) {
    this.#sandboxes = sandboxes
    this.#connections = connections
  }

  /** One that has carried requests before, if there is one; the newest first, so that the others can go. */
  take({ sandbox, port }: PortAddress): GuestConnection | undefined {
    const waiting = this.#idle.get(`${sandbox}/${port}`)
    for (let idle = waiting?.pop(); idle !== undefined; idle = waiting?.pop()) {
      if (idle.connection.usable) return idle.connection
    }
    return undefined
  }

  async open({ spec, status }: Sandbox, port: number): Promise<GuestConnection> {
    const scope = { project: spec.project, sandbox: spec.id }
    using lease = await this.#sandboxes.guest(scope, spec.id, status.incarnation)
    return new GuestConnection(await this.#connections.open(lease.guest, lease.sandbox, port))
  }

  give({ sandbox, port }: PortAddress, connection: GuestConnection): void {
    connection.rest()
    const key = `${sandbox}/${port}`
    const waiting = this.#idle.get(key) ?? []
    if (!connection.usable || waiting.length >= IDLE_PER_PORT) {
      connection.destroy()
      return
    }
    this.#idle.set(key, waiting)
    waiting.push({ connection, since: performance.now() })
    this.#timer ??= setInterval(() => this.#sweep(), SWEEP_MS).unref()
  }

  close(): void {
    clearInterval(this.#timer)
    for (const waiting of this.#idle.values()) for (const { connection } of waiting) connection.destroy()
    this.#idle.clear()
  }

  #sweep(): void {
    const oldest = performance.now() - IDLE_MS
    for (const [key, waiting] of this.#idle) {
      const kept = waiting.filter(({ connection, since }) => {
        if (since > oldest && connection.usable) return true
        connection.destroy()
        return false
      })
      if (kept.length > 0) this.#idle.set(key, kept)
      else this.#idle.delete(key)
    }
    if (this.#idle.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}
