import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'

/** Where a connection is cut: behind so many bytes of the request, or of the answer. */
export interface Cut {
  readonly direction: 'request' | 'answer'
  readonly bytes: number
  /** With a reset, which may take bytes with it that were on their way, instead of an orderly end. */
  readonly reset: boolean
}

/** Decides for each connection, counted from 0; undefined leaves it whole. */
export type Plan = (connection: number) => Cut | undefined

/** A line between client and daemon that breaks where it is told to. */
export class ChaosLine implements AsyncDisposable {
  readonly #server: Server
  readonly #target: () => string
  readonly #sockets = new Set<Socket>()
  #open = true
  #count = 0
  plan: Plan = () => undefined
  url = ''

  /** `target` is asked at each connection: a daemon that was started again has another address. */
  private constructor(target: () => string) {
    this.#target = target
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#carry(client))
  }

  static async open(target: () => string): Promise<ChaosLine> {
    const line = new ChaosLine(target)
    line.#server.listen(0, '127.0.0.1')
    await once(line.#server, 'listening')
    const address = line.#server.address()
    line.url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
    return line
  }

  /** Connections that were made so far. */
  get connections(): number {
    return this.#count
  }

  /** Counts connections from 0 again, under another plan. */
  begin(plan: Plan): void {
    this.#count = 0
    this.plan = plan
  }

  /** Breaks every connection that is there. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  /** Breaks every connection, and every new one at once, until `mend`. */
  sever(): void {
    this.#open = false
    this.cut()
  }

  mend(): void {
    this.#open = true
  }

  #carry(client: Socket): void {
    client.on('error', () => {})
    if (!this.#open) {
      client.resetAndDestroy()
      return
    }
    const cut = this.plan(this.#count++)
    const { hostname, port } = new URL(this.#target())
    const server = connect({ port: Number(port), host: hostname, allowHalfOpen: true, noDelay: true })
    const both = [client, server]
    for (const socket of both) {
      this.#sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        this.#sockets.delete(socket)
        for (const other of both) other.destroy()
      })
    }
    const breakOff = (): void => {
      server.destroy()
      if (cut?.reset === true) client.resetAndDestroy()
      else client.end(() => client.destroy())
    }
    const pass = (from: Socket, to: Socket, limit: number): void => {
      let passed = 0
      if (limit === 0) from.once('data', breakOff)
      from.on('data', (chunk: Buffer) => {
        const piece = chunk.subarray(0, limit - passed)
        passed += piece.byteLength
        if (piece.byteLength > 0 && !to.write(piece)) {
          from.pause()
          to.once('drain', () => from.resume())
        }
        if (passed >= limit) breakOff()
      })
      from.on('end', () => to.end())
    }
    pass(client, server, cut?.direction === 'request' ? cut.bytes : Infinity)
    pass(server, client, cut?.direction === 'answer' ? cut.bytes : Infinity)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut()
    this.#server.close()
    await once(this.#server, 'close')
  }
}

/** Numbers from 0 up to 1, the same for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
