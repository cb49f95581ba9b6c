import { CoveError } from '@cove/domain'
import { drained, isGone, type Exchange } from '../exchange.ts'

/** Headers that belong to a connection of HTTP/1.1. */
const HOP: ReadonlySet<string> = new Set(['connection', 'keep-alive', 'transfer-encoding'])
/** What no tool has to see. */
const SECRET: ReadonlySet<string> = new Set(['authorization', 'x-api-key', 'cookie'])

/** The request in the form that the protocol's library takes; the body goes beside it, parsed. */
export function toWebRequest({ request }: Exchange, signal: AbortSignal): Request {
  const headers = new Headers()
  for (const [name, value] of Object.entries(request.headers)) {
    if (value === undefined || name.startsWith(':') || SECRET.has(name)) continue
    headers.set(name, Array.isArray(value) ? value.join(', ') : value)
  }
  return new Request('http://cove.invalid/mcp', { method: request.method ?? 'GET', headers, signal })
}

/** Writes the answer at the client's pace; a client that goes away ends what produces it. */
export async function sendWebResponse({ response }: Exchange, answer: Response): Promise<void> {
  response.statusCode = answer.status
  for (const [name, value] of answer.headers) if (!HOP.has(name)) response.setHeader(name, value)
  if (answer.body === null) {
    response.end()
    return
  }
  const isStream = answer.headers.get('content-type')?.startsWith('text/event-stream') === true
  if (!isStream) {
    const body = Buffer.from(await answer.arrayBuffer())
    response.setHeader('content-length', body.length)
    response.end(body)
    return
  }
  const reader = answer.body.getReader()
  const leave = (): void => {
    reader.cancel().catch(() => undefined)
  }
  response.once('close', leave)
  try {
    // A comment: the client learns at once that its stream is open.
    if (!response.write(':\n\n')) await drained(response)
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      if (isGone(response)) throw new CoveError('cancelled', 'the client went away')
      if (!response.write(next.value)) await drained(response)
    }
    response.end()
  } catch (error) {
    if (!isGone(response)) throw error
  } finally {
    response.off('close', leave)
    leave()
  }
}
