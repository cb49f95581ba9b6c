import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import { afterEach, describe, expect, it } from 'vitest'
import type { HttpSend } from './http.ts'
import { nodeHttp } from './node-http.ts'

const get = (path = '/x') => ({ method: 'GET', path, headers: {} }) as const

async function* parts(count: number): AsyncGenerator<Uint8Array> {
  for (let part = 0; part < count; part++) yield Buffer.alloc(100_000)
}

async function* broken(): AsyncGenerator<Uint8Array> {
  yield Buffer.from('a')
  await Promise.resolve()
  throw new Error('the disk broke')
}

describe('exchanges over node:http', () => {
  let server: Server | undefined
  let connections = 0
  afterEach(async () => {
    server?.closeAllConnections()
    server?.close()
    if (server?.listening === true) await once(server, 'close')
    server = undefined
  })
  const open = async (handler: RequestListener): Promise<HttpSend> => {
    connections = 0
    server = createServer(handler).on('connection', () => connections++)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    return nodeHttp(new URL(`http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/base/`))
  }

  it('keep their connection for the next one, also after a stream', async () => {
    const send = await open((request, response) => response.end(request.url))
    for (let turn = 0; turn < 3; turn++) {
      expect(Buffer.from(await (await send(get('/a?b=c'))).bytes(100)).toString()).toBe('/base/a?b=c')
      expect(Buffer.concat(await Array.fromAsync((await send(get())).body)).toString()).toBe('/base/x')
    }
    expect(connections).toBe(1)
  })

  it('hold a fast server back while their reader is slow, in little memory', async () => {
    let sent = 0
    const block = Buffer.alloc(65_536)
    const send = await open((_, response) => {
      const more = () => {
        while (sent < 64_000_000) {
          sent += block.length
          if (!response.write(block)) return void response.once('drain', more)
        }
        response.end()
      }
      more()
    })
    let bytes = 0
    let most = 0
    for await (const chunk of (await send(get())).body) {
      bytes += chunk.byteLength
      if (bytes >= 1_000_000) continue
      await new Promise((resolve) => setTimeout(resolve, 5))
      most = Math.max(most, sent - bytes)
    }
    expect(bytes).toBe(sent)
    // What the kernel and both programs hold on the way.
    expect(most).toBeLessThan(20_000_000)
  })

  it('send streams and bytes whole', async () => {
    const send = await open((request, response) => {
      let length = 0
      request.on('data', (chunk: Buffer) => (length += chunk.length))
      request.on('end', () => response.end(String(length)))
    })
    const put = async (body: Uint8Array | Blob | AsyncIterable<Uint8Array>) =>
      Buffer.from(await (await send({ method: 'PUT', path: '/', headers: {}, body })).bytes(100)).toString()
    expect(await put(Buffer.alloc(1_000_000))).toBe('1000000')
    expect(await put(parts(50))).toBe('5000000')
    expect(await put(new Blob(['abc']))).toBe('3')
    expect(connections).toBe(1)
  })

  it('take an answer that comes before the server has taken everything, and send no more', async () => {
    let taken = 0
    const send = await open((request, response) => {
      response.end('no')
      request.on('data', (chunk: Buffer) => (taken += chunk.length))
    })
    const body = parts(Number.POSITIVE_INFINITY)
    const answer = await send({ method: 'PUT', path: '/', headers: {}, body })
    expect(Buffer.from(await answer.bytes(10)).toString()).toBe('no')
    expect(taken).toBeLessThan(50_000_000)
    expect((await body.next()).done).toBe(true)
  })

  it('fail when the source of what they send fails', async () => {
    const send = await open((request, response) => {
      request.on('error', () => {})
      request.resume().on('end', () => response.end())
    })
    const call = send({ method: 'PUT', path: '/', headers: {}, body: broken() })
    await expect(call).rejects.toMatchObject({ code: 'io-error', message: 'the disk broke' })
  })

  it('end when their reader leaves', async () => {
    let closed: Promise<unknown> = Promise.resolve()
    const send = await open((_, response) => {
      closed = once(response, 'close')
      response.write('first')
    })
    for await (const chunk of (await send(get())).body) {
      expect(chunk).toHaveLength(5)
      break
    }
    await closed
  })

  it.each([
    ['before the answer', false],
    ['inside the answer', true],
  ])('tell that the connection was lost %s', async (_, begun) => {
    const send = await open((request, response) => {
      if (begun) response.write('half', () => request.socket.destroy())
      else request.socket.destroy()
    })
    const read = async () => Array.fromAsync((await send(get())).body)
    await expect(read()).rejects.toMatchObject({ code: 'connection-lost' })
  })

  it('end with their signal, before and inside the answer', async () => {
    const send = await open((request, response) => {
      if (request.url?.endsWith('slow') === false) response.write('begun')
    })
    const early = new AbortController()
    const waiting = send({ ...get('/slow'), signal: early.signal })
    early.abort()
    await expect(waiting).rejects.toMatchObject({ code: 'cancelled' })
    const late = AbortSignal.timeout(100)
    const read = async () => Array.fromAsync((await send({ ...get('/'), signal: late })).body)
    await expect(read()).rejects.toMatchObject({ code: 'deadline-exceeded' })
    await expect(send({ ...get(), signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'cancelled' })
  })

  it('refuse an answer that is too long', async () => {
    const send = await open((_, response) => response.end(Buffer.alloc(1000)))
    await expect((await send(get())).bytes(999)).rejects.toMatchObject({ code: 'payload-too-large' })
  })

  it('tell that nobody is there', async () => {
    const send = await open(() => {})
    server?.close()
    await expect(send(get())).rejects.toMatchObject({ code: 'daemon-not-running' })
  })
})
