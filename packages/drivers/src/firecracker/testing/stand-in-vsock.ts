import { rm } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { Refused } from './refused.ts'

const FIRST_HOST_PORT = 1_073_741_824
const MAX_LINE_BYTES = 32

/** The unix socket at which a machine's vsock ports are reached from the host. */
export class StandInVsock {
  readonly #path: string
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #hostPort = FIRST_HOST_PORT

  private constructor(path: string, server: Server) {
    this.#path = path
    this.#server = server
  }

  /** Refused where something has the path already. `socketOf`: where what listens at a port of the guest is reached. */
  static async open(path: string, socketOf: (port: number) => Promise<string | undefined>): Promise<StandInVsock> {
    const server = createServer()
    const vsock = new StandInVsock(path, server)
    server.on('connection', (socket) => vsock.#accept(socket, socketOf))
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => {
        reject(new Refused(`Cannot create backend for vsock device: UnixBind(${error.message})`))
      })
      server.listen(path, resolve)
    })
    return vsock
  }

  /** Said to everybody instead of `OK`. */
  says: string | undefined

  #accept(socket: Socket, socketOf: (port: number) => Promise<string | undefined>): void {
    this.#sockets.add(socket)
    socket.on('close', () => this.#sockets.delete(socket))
    socket.on('error', () => socket.destroy())
    let got = Buffer.alloc(0)
    const onData = (chunk: Buffer) => {
      got = Buffer.concat([got, chunk])
      const end = got.indexOf(0x0a)
      if (end < 0 && got.length < MAX_LINE_BYTES) return
      socket.off('data', onData).pause()
      const port = /^CONNECT (\d+)$/.exec(got.toString('latin1', 0, Math.max(end, 0)))?.[1]
      if (port === undefined) socket.destroy()
      else void this.#forward(socket, got.subarray(end + 1), socketOf(Number(port)))
    }
    socket.on('data', onData)
  }

  async #forward(socket: Socket, rest: Buffer, target: Promise<string | undefined>): Promise<void> {
    if (this.says !== undefined) {
      socket.write(this.says)
      return
    }
    const path = await target
    if (path === undefined) {
      socket.destroy()
      return
    }
    const guest = connect({ path, allowHalfOpen: true })
    this.#sockets.add(guest)
    guest.on('close', () => {
      this.#sockets.delete(guest)
      socket.destroy()
    })
    guest.on('error', () => socket.destroy())
    socket.on('close', () => guest.destroy())
    guest.once('connect', () => {
      socket.write(`OK ${this.#hostPort++}\n`)
      if (rest.length > 0) guest.write(rest)
      socket.pipe(guest)
      guest.pipe(socket)
    })
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => {
      this.#server.close(resolve)
    })
    await rm(this.#path, { force: true })
  }
}
