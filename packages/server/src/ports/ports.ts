import type { Duplex } from 'node:stream'
import type { Sandbox } from '@cove/domain'
import type { Scope } from '../auth/principal.ts'
import { endedError } from '../sandboxes/ledger.ts'
import { bad } from '../sandboxes/request.ts'
import type { Sandboxes } from '../sandboxes/sandboxes.ts'
import { checkPort } from './check-port.ts'
import type { Connections } from './connections.ts'
import { listeningPorts } from './listening.ts'
import type { PreviewHosts } from './preview-hosts.ts'
import type { PreviewTokens } from './preview-tokens.ts'
import type { Shares } from './shares.ts'

export interface PortInfo {
  readonly port: number
  readonly listening: boolean
  /** Open to whoever knows its address. */
  readonly public: boolean
  /** `http://<port>-<id>.<domain>[:<port>]/` */
  readonly url: string
  /** Addresses inside the sandbox that it listens on. */
  readonly addresses: readonly string[]
}

export interface PreviewUrlRequest {
  readonly port: number
  /** Milliseconds that the browser's cookie opens the port. Default 1 hour, at most 24. */
  readonly expiresInMs?: number
  /** Absolute path and query on the port. Default `/`. */
  readonly path?: string
}

export interface PreviewUrl {
  readonly url: string
  /** Unix milliseconds; until then the link is good, once. */
  readonly expiresAt: number
}

/** What a caller signs does not outlive the caller's own key. */
export interface PreviewCaller extends Scope {
  /** Id of the key or token. */
  readonly key: string
  /** Id of the key that made the token; absent for keys. */
  readonly issuer?: string
  /** Unix milliseconds. */
  readonly expiresAt?: number
}

/** A connection to a port. The stream is the caller's to end. */
export interface PortConnection {
  readonly stream: Duplex
  readonly sandbox: Sandbox
  /** To be called when bytes move: only traffic keeps the sandbox from being idle. */
  readonly touch: () => void
}

const HOUR_MS = 3_600_000
const PATH = /^\/[\x21-\x7e]{0,4095}$/

export interface PortsParts {
  readonly sandboxes: Sandboxes
  readonly shares: Shares
  readonly tokens: PreviewTokens
  readonly hosts: PreviewHosts
  readonly connections: Connections
}

/**
 * The ports of sandboxes: what listens, who may see it, and the bytes themselves. `ref` is an id, or the name of a
 * live sandbox; `via` is the host, with its port, under which the caller has reached this server, so that addresses
 * work from there too.
 */
export class Ports {
  readonly #parts: PortsParts

  constructor(parts: PortsParts) {
    this.#parts = parts
  }

  /** What listens, and what is public, listening or not. Ports in ascending order. */
  async list(scope: Scope, ref: string, via?: string, signal?: AbortSignal): Promise<readonly PortInfo[]> {
    const { sandboxes, shares } = this.#parts
    using lease = await sandboxes.guest(scope, ref)
    const { sandbox } = lease
    const listening = await listeningPorts(lease.guest, signal)
    const silent = [...shares.of(sandbox.spec.id)].filter((port) => !listening.some((one) => one.port === port))
    const told = listening.map(({ port, addresses }) => this.#describe(sandbox, port, addresses, via))
    return [...told, ...silent.map((port) => this.#describe(sandbox, port, [], via))].toSorted(
      (one, other) => one.port - other.port,
    )
  }

  /** Also before anything listens there. Sharing again changes it. */
  async share(scope: Scope, ref: string, port: number, isPublic: boolean, via?: string): Promise<PortInfo> {
    const { shares } = this.#parts
    checkPort(port)
    const sandbox = await this.#live(scope, ref)
    const address = { sandbox: sandbox.spec.id, port }
    await (isPublic ? shares.open(address) : shares.close(address))
    if (sandbox.status.state !== 'running') return this.#describe(sandbox, port, [], via)
    const found = (await this.list(scope, ref, via)).find((one) => one.port === port)
    return found ?? this.#describe(sandbox, port, [], via)
  }

  /** Private again. Twice is no error. */
  async unshare(scope: Scope, ref: string, port: number): Promise<void> {
    checkPort(port)
    const { spec } = await this.#live(scope, ref)
    await this.#parts.shares.close({ sandbox: spec.id, port })
  }

  /** A link that opens a private port in a browser, once. */
  async previewUrl(caller: PreviewCaller, ref: string, request: PreviewUrlRequest, via?: string): Promise<PreviewUrl> {
    const { tokens, hosts } = this.#parts
    const { expiresInMs = HOUR_MS, path = '/' } = request
    const port = checkPort(request.port)
    if (!(expiresInMs >= 1_000 && expiresInMs <= 24 * HOUR_MS)) throw bad('expiresIn', 'must be 1 second to 24 hours')
    if (!PATH.test(path) || path.includes('#')) {
      throw bad('path', 'must begin with "/" and be at most 4,096 printable ASCII characters without a fragment')
    }
    const { spec } = await this.#live(caller, ref)
    const address = { sandbox: spec.id, port }
    const { token, expiresAt } = await tokens.link(
      address,
      caller.issuer ?? caller.key,
      Math.round(expiresInMs),
      caller.expiresAt,
    )
    return { url: `${hosts.origin(address, via)}${path}${path.includes('?') ? '&' : '?'}token=${token}`, expiresAt }
  }

  /**
   * Connects to a port. `connection-refused` when nothing listens there. The signal ends the stream too; so does the
   * end of the sandbox.
   */
  async connect(scope: Scope, ref: string, port: number, signal?: AbortSignal): Promise<PortConnection> {
    const { sandboxes, connections } = this.#parts
    checkPort(port)
    using lease = await sandboxes.guest(scope, ref)
    const { guest, sandbox } = lease
    const stream = await connections.open(guest, sandbox, port, signal)
    return { stream, sandbox, touch: () => connections.touch(sandbox.spec.id) }
  }

  async #live(scope: Scope, ref: string): Promise<Sandbox> {
    const sandbox = await this.#parts.sandboxes.get(scope, ref)
    const { state } = sandbox.status
    if (state === 'deleted' || state === 'deleting') throw endedError(ref, sandbox)
    return sandbox
  }

  #describe({ spec }: Sandbox, port: number, addresses: readonly string[], via: string | undefined): PortInfo {
    const { shares, hosts } = this.#parts
    const address = { sandbox: spec.id, port }
    return {
      port,
      listening: addresses.length > 0,
      public: shares.isPublic(address),
      url: `${hosts.origin(address, via)}/`,
      addresses,
    }
  }
}
