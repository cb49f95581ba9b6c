import type { CallOptions } from '../call-options.ts'

/** One TCP connection to a port of a sandbox, as a pair of web streams. */
export interface PortConnection extends AsyncDisposable {
  /** What the server in the sandbox sends; ends when it closes its side. */
  readonly readable: ReadableStream<Uint8Array>
  /** Closing it closes this side only, as TCP does. */
  readonly writable: WritableStream<Uint8Array>
  /** Resolves when both sides are closed, however that came about. */
  readonly closed: Promise<void>
  /** Ends the connection at once, both ways. */
  close(): void
}

/** Where a forward listens, and how much it takes. */
export interface ForwardOptions {
  /** Local address to listen on. Default `127.0.0.1`: only this machine. */
  readonly host?: string
  /** Local port; 0 for any that is free. Default: the sandbox's port. */
  readonly localPort?: number
  /** Connections at once; one more is closed at once. Default 256. */
  readonly maxConnections?: number
  /** Told of every connection, for showing; must not throw. */
  readonly onEvent?: (event: ForwardEvent) => void
  /** Ends the forward when it aborts. */
  readonly signal?: AbortSignal
}

/** What happens to one local connection; `connection` counts them from 1. */
export type ForwardEvent =
  | { readonly type: 'opened'; readonly connection: number; readonly from: string }
  /** Bytes that went into the sandbox and that came out of it. */
  | { readonly type: 'closed'; readonly connection: number; readonly sent: number; readonly received: number }
  /** It could not be brought there. The forward goes on: the next connection is tried anew. */
  | { readonly type: 'failed'; readonly connection: number; readonly error: Error }

/** A local port that leads into a sandbox, until it is closed. */
export interface PortForward extends AsyncDisposable {
  /** The local address and port. */
  readonly host: string
  readonly port: number
  /** Connections that are open now. */
  readonly connections: number
  /** Resolves when it listens no more and the last connection is closed. */
  readonly closed: Promise<void>
  /** Listens no more, ends every connection, and waits for that. */
  close(): Promise<void>
}

/** `signal` and `timeoutMs` are for connecting; what stands is closed by its owner. */
export type ConnectOptions = CallOptions
