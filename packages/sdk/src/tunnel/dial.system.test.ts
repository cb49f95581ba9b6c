import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { InstantClock } from '../../test/support/instant-clock.ts'
import { DEFAULT_RETRY } from '../wire/retry.ts'
import { Rpc } from '../wire/rpc.ts'
import { dialPort } from './dial.ts'

const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: cove-tcp\r\n\r\n'

const send = () => Promise.reject(new Error('nothing is sent here'))

describe('a tunnel to a port', () => {
  let server: Server
  let rpc: Rpc
  let asked: string[]
  let sockets: Set<Socket>
  /** What the server does with each connection, once it has the head of the request. */
  let answer: (socket: Socket) => void
  beforeEach(async () => {
    asked = []
    sockets = new Set()
    server = createServer({ allowHalfOpen: true }, (socket) => {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.once('data', (head: Buffer) => {
        asked.push(head.toString())
        answer(socket)
      })
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    const base = new URL(`http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/below/`)
    const parts = { clock: new InstantClock(), chance: () => 0 }
    rpc = new Rpc({ base, send, apiKey: 'cove_secret', policy: DEFAULT_RETRY, parts })
  })
  afterEach(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })

  it('asks with the key, and takes the bytes that come behind the answer', async () => {
    answer = (socket) => {
      socket.end(`${SWITCH}first bytes`)
    }
    const tunnel = await dialPort(rpc, 'a box', 80, {})
    expect((await buffer(tunnel)).toString()).toBe('first bytes')
    expect(tunnel.writable).toBe(true)
    const [head] = asked
    expect(head).toMatch(/^GET \/below\/v1\/sandboxes\/a%20box\/ports\/80 HTTP\/1\.1\r\n/)
    for (const line of ['authorization: Bearer cove_secret', 'upgrade: cove-tcp', 'connection: upgrade']) {
      expect(head?.toLowerCase()).toContain(`\r\n${line.toLowerCase()}\r\n`)
    }
    tunnel.destroy()
  })

  it('is refused with the reason, at once where trying again is no use', async () => {
    const body = JSON.stringify({ code: 'connection-refused', message: 'nothing listens on port 80' })
    answer = (socket) => {
      socket.end(`HTTP/1.1 502 Bad Gateway\r\ncontent-length: ${body.length}\r\n\r\n${body}`)
    }
    await expect(dialPort(rpc, 'box', 80, {})).rejects.toMatchObject({
      code: 'connection-refused',
      message: 'nothing listens on port 80',
    })
    expect(asked).toHaveLength(1)
  })

  it('does not take an answer without an upgrade for a tunnel', async () => {
    answer = (socket) => {
      socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi')
    }
    await expect(dialPort(rpc, 'box', 80, {})).rejects.toMatchObject({ code: 'unsupported' })
  })

  it('is tried again when the connection breaks before the answer', async () => {
    answer = (socket) => {
      if (asked.length < 3) socket.resetAndDestroy()
      else socket.end(`${SWITCH}here`)
    }
    const tunnel = await dialPort(rpc, 'box', 80, {})
    expect((await buffer(tunnel)).toString()).toBe('here')
    expect(asked).toHaveLength(3)
    tunnel.destroy()
    answer = (socket) => socket.resetAndDestroy()
    await expect(dialPort(rpc, 'box', 80, {})).rejects.toMatchObject({ code: 'connection-lost' })
    expect(asked).toHaveLength(3 + 1 + DEFAULT_RETRY.attempts)
  })

  it('waits no longer than asked', async () => {
    answer = () => {}
    await expect(dialPort(rpc, 'box', 80, { timeoutMs: 30 })).rejects.toMatchObject({ code: 'deadline-exceeded' })
    const stop = new AbortController()
    answer = () => stop.abort()
    await expect(dialPort(rpc, 'box', 80, { signal: stop.signal })).rejects.toMatchObject({ code: 'cancelled' })
    await expect(dialPort(rpc, 'box', 80, { signal: stop.signal })).rejects.toMatchObject({ code: 'cancelled' })
    expect(asked).toHaveLength(2)
  })
})
