import { PortService } from '@cove/api'
import { CoveError } from '@cove/domain'
import { expiry, type SignedUrl } from './access.ts'
import type { CallOptions } from './call-options.ts'
import { portInfo } from './convert/port.ts'
import { dateOf } from './convert/time.ts'
import type { PortInfo } from './port-info.ts'
import type { ConnectOptions, ForwardOptions, PortConnection, PortForward } from './tunnel/types.ts'
import type { Rpc } from './wire/rpc.ts'

/** How a port is shared. */
export interface ShareOptions extends CallOptions {
  /** Open to whoever knows the address. Default false: a key or a preview address is needed. */
  readonly public?: boolean
}

/** What a preview address opens, and for how long. */
export interface PreviewUrlOptions extends CallOptions {
  /** Milliseconds that the browser's cookie opens the port. Default 1 hour, at most 24. */
  readonly expiresIn?: number
  /** Absolute path and query on the port. Default `/`. */
  readonly path?: string
}

/** The TCP ports of one sandbox. Ports are numbers from 1 to 65535. */
export class Ports {
  readonly #rpc: Rpc
  readonly #sandbox: string

  /** @internal */
  constructor(rpc: Rpc, sandbox: string) {
    this.#rpc = rpc
    this.#sandbox = sandbox
  }

  /** What listens in the sandbox, and what is shared, listening or not. */
  async list(options: CallOptions = {}): Promise<PortInfo[]> {
    const answer = await this.#rpc.unary(PortService.method.listPorts, { sandbox: this.#sandbox }, options)
    return answer.ports.map(portInfo)
  }

  /** Gives a port its address. Sharing it again changes whether it is public. */
  async share(port: number, options: ShareOptions = {}): Promise<PortInfo> {
    const request = { sandbox: this.#sandbox, port: checked(port), public: options.public ?? false }
    const answer = await this.#rpc.unary(PortService.method.sharePort, request, { ...options, idempotent: true })
    if (answer.port === undefined) throw new CoveError('internal', 'the server answered without a port')
    return portInfo(answer.port)
  }

  /** Private again. Twice is no error. */
  async unshare(port: number, options: CallOptions = {}): Promise<void> {
    const request = { sandbox: this.#sandbox, port: checked(port) }
    await this.#rpc.unary(PortService.method.unsharePort, request, { ...options, idempotent: true })
  }

  /**
   * An address that opens a private port in a browser: its token is good for one use within 10 minutes, and the browser
   * then keeps a cookie for that host only. `expiresAt` is when the cookie ends.
   */
  async previewUrl(port: number, options: PreviewUrlOptions = {}): Promise<SignedUrl> {
    const { path = '', expiresIn } = options
    const request = { sandbox: this.#sandbox, port: checked(port), path, ...expiry(expiresIn) }
    const answer = await this.#rpc.unary(PortService.method.createPreviewUrl, request, { ...options, idempotent: true })
    return { url: answer.url, expiresAt: answer.expiresAt === undefined ? new Date(0) : dateOf(answer.expiresAt) }
  }

  /**
   * Opens one TCP connection to a port. `connection-refused` when nothing listens there. Node only (and what runs
   * Node's modules); elsewhere `unsupported`. `Duplex.fromWeb(connection)` makes it a stream of Node's.
   */
  async connect(port: number, options: ConnectOptions = {}): Promise<PortConnection> {
    const tunnel = await import('#tunnel')
    return tunnel.connectPort(this.#rpc, this.#sandbox, checked(port), options)
  }

  /**
   * Listens on a port of this machine and brings every connection to the sandbox's port, until it is closed; `await
   * using` closes it. Nothing needs to listen in the sandbox yet: each connection is tried by itself. Node only.
   * `address-in-use` when the local port is taken.
   */
  async forward(port: number, options: ForwardOptions = {}): Promise<PortForward> {
    const tunnel = await import('#tunnel')
    return tunnel.forwardPort(this.#rpc, this.#sandbox, checked(port), options)
  }
}

function checked(port: number): number {
  if (Number.isInteger(port) && port >= 1 && port <= 65_535) return port
  throw new CoveError('invalid-argument', `${port} is not a port from 1 to 65535`, { field: 'port' })
}
