import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import type { House } from './harness.ts'

/** What the test server in the place of one inside a sandbox answers with. */
export const ANSWER = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'

export interface GuestServer extends Disposable {
  /** Every piece that came, in order. */
  readonly heard: readonly string[]
  /** How often the guest has been dialled. */
  readonly dialled: number
  /** Connections that have ended, in whatever way. */
  readonly ended: number
  cut(): void
}

type Reply = string | ((heard: string, socket: Socket) => string)

/** Lets the guest of a sandbox dial a server that lives here. */
export async function serveGuest(house: House, id: string, answer: Reply = ANSWER): Promise<GuestServer> {
  const heard: string[] = []
  const open = new Set<Socket>()
  let dialled = 0
  let ended = 0
  const server = createServer((socket) => {
    open.add(socket)
    socket.on('error', () => undefined)
    socket.once('close', () => {
      ended++
      open.delete(socket)
    })
    socket.on('data', (chunk) => {
      heard.push(chunk.toString('latin1'))
      const text = typeof answer === 'string' ? answer : answer(chunk.toString('latin1'), socket)
      if (!socket.writableEnded) socket.write(text, 'latin1')
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  house.node.stub(id).dial = async () => {
    dialled++
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    await once(socket, 'connect')
    return socket
  }
  const cut = (): void => {
    for (const socket of open) socket.destroy()
  }
  return {
    heard,
    get dialled() {
      return dialled
    },
    get ended() {
      return ended
    },
    cut,
    [Symbol.dispose]() {
      server.close()
      cut()
    },
  }
}
