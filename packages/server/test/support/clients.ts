import { once } from 'node:events'
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import { connect as connectTcp } from 'node:net'
import type { Transport } from '@connectrpc/connect'
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node'
import { KEY } from './harness.ts'

export const PROTOCOLS = [
  'connect over http/1.1',
  'connect JSON over http/1.1',
  'connect over h2c',
  'grpc over h2c',
  'grpc-web over http/1.1',
] as const

export function transport(baseUrl: string, protocol: (typeof PROTOCOLS)[number], key: string = KEY): Transport {
  const interceptors = [
    (next: Parameters<NonNullable<Parameters<typeof createConnectTransport>[0]['interceptors']>[number]>[0]) =>
      (request: Parameters<typeof next>[0]) => {
        request.header.set('authorization', `Bearer ${key}`)
        return next(request)
      },
  ]
  switch (protocol) {
    case 'connect over http/1.1':
      return createConnectTransport({ baseUrl, httpVersion: '1.1', interceptors })
    case 'connect JSON over http/1.1':
      return createConnectTransport({ baseUrl, httpVersion: '1.1', useBinaryFormat: false, interceptors })
    case 'connect over h2c':
      return createConnectTransport({ baseUrl, httpVersion: '2', interceptors })
    case 'grpc over h2c':
      return createGrpcTransport({ baseUrl, interceptors })
    case 'grpc-web over http/1.1':
      return createGrpcWebTransport({ baseUrl, httpVersion: '1.1', interceptors })
  }
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  readonly json: Record<string, unknown>
}

interface Ask {
  readonly method?: string
  readonly headers?: Record<string, string>
  readonly body?: string | Uint8Array | AsyncIterable<Uint8Array>
  /** Null: none. */
  readonly key?: string | null
}

/** One plain request, with the key unless told otherwise. */
export function ask(url: string, { method = 'GET', headers = {}, body, key = KEY }: Ask = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const auth = key === null ? {} : { authorization: `Bearer ${key}` }
    const request = httpRequest(url, { method, headers: { ...auth, ...headers }, agent: false }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => {
        const all = Buffer.concat(chunks)
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: all,
          get json() {
            return JSON.parse(all.toString()) as Record<string, unknown>
          },
        })
      })
    })
    request.on('error', reject)
    if (body === undefined || typeof body === 'string' || body instanceof Uint8Array) {
      request.end(body)
      return
    }
    const closed = new Promise((go) => request.once('close', go))
    const pump = async (): Promise<void> => {
      for await (const chunk of body) {
        if (request.destroyed) return
        if (!request.write(chunk)) await Promise.race([once(request, 'drain'), closed])
      }
      request.end()
    }
    pump().catch(reject)
  })
}

/** A unary call as curl would make it. */
export function call(base: string, method: string, message: unknown, options: Ask = {}): Promise<Answer> {
  return ask(`${base}/cove.v1.${method}`, {
    method: 'POST',
    body: JSON.stringify(message),
    ...options,
    headers: { 'content-type': 'application/json', ...options.headers },
  })
}

/** Sends these pieces over a bare connection, each in its own packet, and reads until the server closes. */
export function bare(base: string, pieces: readonly (string | Uint8Array)[], closeAfter?: RegExp): Promise<string> {
  const { hostname, port } = new URL(base)
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ host: hostname, port: Number(port), noDelay: true })
    let received = ''
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1')
      if (closeAfter?.test(received) === true) socket.destroy()
    })
    socket.on('error', reject)
    socket.on('close', () => resolve(received))
    const send = async (): Promise<void> => {
      for (const piece of pieces) {
        socket.write(piece)
        await new Promise((next) => setTimeout(next, 5))
      }
    }
    send().catch(reject)
  })
}

/** One GET over h2c with prior knowledge. */
export function askHttp2(base: string, path: string, headers: Record<string, string> = {}): Promise<number> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2(base)
    session.on('error', reject)
    const stream = session.request({ ':path': path, authorization: `Bearer ${KEY}`, ...headers })
    stream.on('response', ({ ':status': status = 0 }) => {
      session.close()
      resolve(status)
    })
    stream.on('error', reject)
    stream.resume()
    stream.end()
  })
}
