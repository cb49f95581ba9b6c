import http from 'node:http'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { CoveError } from '@cove/domain'
import type { CallOptions } from '../call-options.ts'
import { errorFromResponse } from '../wire/errors.ts'
import { aborted, connectionFailure } from '../wire/failures.ts'
import { NodeResponse } from '../wire/node-http.ts'
import type { Rpc } from '../wire/rpc.ts'

export const TUNNEL_PROTOCOL = 'cove-tcp'

/**
 * Opens one tunnel: a GET that asks for the protocol `cove-tcp` on a connection of its own. Behind the answer 101 its
 * bytes are those of the port. Nothing is sent twice, so that it may be tried again until then.
 */
export function dialPort(rpc: Rpc, sandbox: string, port: number, options: CallOptions): Promise<Duplex> {
  const path = `/v1/sandboxes/${encodeURIComponent(sandbox)}/ports/${port}`
  return rpc.retrying(true, options, (signal) => dialOnce(rpc, path, signal))
}

async function dialOnce(rpc: Rpc, path: string, signal: AbortSignal | undefined): Promise<Duplex> {
  if (signal?.aborted === true) throw aborted(signal)
  const request = rpc.base.protocol === 'https:' ? (await import('node:https')).request : http.request
  const { promise, resolve, reject } = Promise.withResolvers<Duplex>()
  const call = request(rpc.address(path), {
    headers: { ...rpc.headers, connection: 'Upgrade', upgrade: TUNNEL_PROTOCOL },
    agent: false,
  })
  const abort = () => call.destroy()
  signal?.addEventListener('abort', abort, { once: true })
  call.on('error', (error) => reject(connectionFailure(error, rpc.base.origin, signal)))
  call.once('response', (response: IncomingMessage) => {
    refusal(response, rpc.base.origin, signal).then(reject, reject)
  })
  call.once('upgrade', (_response, socket, head) => {
    socket.setNoDelay(true)
    // Each side closes for itself, as with TCP.
    socket.allowHalfOpen = true
    // What fails from now on ends the connection; its reader sees that.
    socket.on('error', () => {})
    if (head.byteLength > 0) socket.unshift(head)
    resolve(socket)
  })
  call.end()
  try {
    return await promise
  } finally {
    signal?.removeEventListener('abort', abort)
  }
}

async function refusal(message: IncomingMessage, url: string, signal: AbortSignal | undefined): Promise<CoveError> {
  const response = new NodeResponse(message, url, signal)
  if (response.status >= 300) return errorFromResponse(response)
  message.destroy()
  return new CoveError('unsupported', `the server answered HTTP ${response.status} instead of opening a tunnel`)
}
