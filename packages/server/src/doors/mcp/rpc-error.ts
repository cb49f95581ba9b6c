import type { CoveError } from '@cove/domain'

/** Codes of the protocol for answers that are given before a server has seen the message. */
export const RPC = { server: -32_000, sessionNotFound: -32_001, parse: -32_700 } as const

/** An error in JSON-RPC that belongs to no message, or to one whose id is known. */
export function rpcError(status: number, code: number, error: CoveError, id: string | number | null = null): Response {
  const { message, fix } = error
  return Response.json(
    { jsonrpc: '2.0', error: { code, message, data: { code: error.code, fix } }, id },
    { status, headers: { 'content-type': 'application/json' } },
  )
}

/** Undefined for notifications, responses, batches and everything that is no message. */
export function requestIdOfMessage(message: unknown): string | number | undefined {
  if (typeof message !== 'object' || message === null || !('method' in message) || !('id' in message)) return undefined
  const { id } = message
  return typeof id === 'string' || typeof id === 'number' ? id : undefined
}
