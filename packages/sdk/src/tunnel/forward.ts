import { once } from 'node:events'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { CoveError } from '@cove/domain'
import { aborted } from '../wire/failures.ts'
import type { Rpc } from '../wire/rpc.ts'
import { dialPort } from './dial.ts'
import type { ForwardEvent, ForwardOptions, PortForward } from './types.ts'

const MAX_CONNECTIONS = 256

export async function forwardPort(
  rpc: Rpc,
  sandbox: string,
  port: number,
  options: ForwardOptions,
): Promise<PortForward> {
  const { host = '127.0.0.1', localPort = port, signal } = options
  if (signal?.aborted === true) throw aborted(signal)
  const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true })
  const forward = new Forward(server, (cancel) => dialPort(rpc, sandbox, port, { signal: cancel }), options)
  server.listen(localPort, host)
  try {
    await once(server, 'listening')
  } catch (thrown) {
    throw listenFailure(thrown, host, localPort)
  }
  return forward.begin(signal)
}

/** One local listener; every connection has a tunnel of its own. */
class Forward implements PortForward {
  readonly #server: Server
  readonly #dial: (cancel: AbortSignal) => Promise<Duplex>
  readonly #max: number
  readonly #onEvent: (event: ForwardEvent) => void
  readonly #over = new AbortController()
  readonly #open = new Set<Promise<void>>()
  #count = 0
  readonly #closed = Promise.withResolvers<void>()
  #address: AddressInfo = { address: '', port: 0, family: '' }
  readonly closed = this.#closed.promise

  constructor(server: Server, dial: (cancel: AbortSignal) => Promise<Duplex>, options: ForwardOptions) {
    this.#server = server
    this.#dial = dial
    this.#max = options.maxConnections ?? MAX_CONNECTIONS
    this.#onEvent = options.onEvent ?? (() => {})
    server.on('connection', (socket) => this.#accept(socket))
  }

  begin(signal: AbortSignal | undefined): this {
    const address = this.#server.address()
    if (address !== null && typeof address !== 'string') this.#address = address
    // Out of descriptors, for example: the connections that are there go on.
    this.#server.on('error', () => {})
    const abort = () => void this.close()
    signal?.addEventListener('abort', abort, { once: true })
    this.#server.once('close', () => {
      signal?.removeEventListener('abort', abort)
      void Promise.all(this.#open).then(() => this.#closed.resolve())
    })
    if (signal?.aborted === true) abort()
    return this
  }

  get host(): string {
    return this.#address.address
  }

  get port(): number {
    return this.#address.port
  }

  get connections(): number {
    return this.#open.size
  }

  async close(): Promise<void> {
    this.#over.abort(new CoveError('cancelled', 'the forward was closed'))
    this.#server.close()
    await this.closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #accept(socket: Socket): void {
    const connection = ++this.#count
    if (this.#open.size >= this.#max) {
      socket.destroy()
      const error = new CoveError('limit-reached', `${this.#max} connections are open already`)
      this.#onEvent({ type: 'failed', connection, error })
      return
    }
    const carrying: Promise<void> = this.#carry(socket, connection).finally(() => this.#open.delete(carrying))
    this.#open.add(carrying)
  }

  /** Never rejects: what goes wrong ends this connection, and is told. */
  async #carry(socket: Socket, connection: number): Promise<void> {
    const left = new AbortController()
    socket.on('error', () => {})
    socket.once('close', () => left.abort(new CoveError('cancelled', 'the client went away')))
    const signal = AbortSignal.any([this.#over.signal, left.signal])
    try {
      const tunnel = await this.#dial(signal)
      this.#onEvent({ type: 'opened', connection, from: `${socket.remoteAddress}:${socket.remotePort}` })
      await join(socket, tunnel, signal)
      this.#onEvent({ type: 'closed', connection, sent: socket.bytesRead, received: socket.bytesWritten })
    } catch (thrown) {
      this.#onEvent({ type: 'failed', connection, error: CoveError.from(thrown) })
    } finally {
      socket.destroy()
    }
  }
}

/** Carries bytes both ways until both are closed. One side may end long before the other; a fault on one ends both. */
async function join(socket: Socket, tunnel: Duplex, signal: AbortSignal): Promise<void> {
  const end = (): void => {
    // One that has got everything is closed: Node never closes what is reset after its end.
    if (socket.writableEnded) socket.destroy()
    else socket.resetAndDestroy()
    tunnel.destroy()
  }
  if (signal.aborted) end()
  else signal.addEventListener('abort', end, { once: true })
  const closed = [socket, tunnel].map(
    (side) =>
      new Promise<void>((resolve) => {
        if (side.closed) resolve()
        else side.once('close', resolve)
        side.once('error', end)
      }),
  )
  tunnel.once('close', () => {
    // Whole when everything was written; else the client must not take it for whole.
    if (!socket.writableEnded) end()
  })
  socket.pipe(tunnel).pipe(socket)
  await Promise.all(closed)
  signal.removeEventListener('abort', end)
}

function listenFailure(thrown: unknown, host: string, port: number): CoveError {
  const { code, message } = CoveError.from(thrown, 'io-error')
  if (code !== 'address-in-use') return new CoveError(code, `cannot listen on ${host}:${port}: ${message}`)
  const fix = 'Choose another local port, or 0 for any that is free.'
  return new CoveError(code, `${host}:${port} is in use on this machine`, { host, port }, { fix })
}
