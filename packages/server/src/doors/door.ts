import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Principal } from '../auth/principal.ts'
import type { Exchange } from './exchange.ts'

/** One dialect in which Cove is spoken to. Doors translate and hold no rules of their own. */
export interface Door {
  /** For logs and metrics. */
  readonly name: string
  serves(path: string): boolean
  /** True when it answers this path to callers without a key too. */
  isOpen(path: string): boolean
  /**
   * True where the address itself is the permission: no key is looked at, and pages of every origin may use it. The
   * door checks it, and counts what is wrong.
   */
  isSigned?(path: string, query: string): boolean
  handle(exchange: Exchange): Promise<void>
  /** Takes the connection of a request with `Upgrade`; only with HTTP/1.1. Doors without it refuse. */
  upgrade?(upgrade: Upgrade): Promise<void>
}

/** A request that asks for another protocol on its connection. */
export interface Upgrade {
  readonly request: IncomingMessage
  readonly socket: Duplex
  /** What the client sent behind the headers. */
  readonly head: Buffer
  readonly requestId: string
  readonly path: string
  readonly query: string
  readonly principal: Principal | undefined
  readonly from: string
}

/** A door that is chosen by the host name of the request, and that checks callers and origins in its own way. */
export interface HostDoor {
  readonly name: string
  /** `authority` is the Host header or `:authority`; the headers tell what clients that cannot choose a host want. */
  serves(authority: string | undefined, headers: IncomingMessage['headers']): boolean
  handle(exchange: Exchange): Promise<void>
  upgrade(upgrade: Upgrade): Promise<void>
}
