import { CoveError } from '@cove/domain'
import { drained, isGone, type Exchange } from '../exchange.ts'

/** Headers that belong to a connection of HTTP/1.1. */
const HOP: ReadonlySet<string> = new Set(['connection', 'keep-alive', 'transfer-encoding'])
/** What no tool has to see. */
const SECRET: ReadonlySet<string> = new Set(['authorization', 'x-api-key', 'cookie'])

/** Milliseconds that an answer may take until its stream is opened before it. */
const OPEN_MS = 50

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
export async function sendWebResponse({ request, response }: Exchange, answer: Response): Promise<void> {
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
    let next = read(reader)
    const waits = request.method === 'POST' ? (await soon(next, OPEN_MS)) === undefined : true
    // A comment: who waits learns that the stream is open.
    if (waits && !response.write(':\n\n')) await drained(response)
    for (;;) {
      const { done, value } = await next
      if (done) break
      if (isGone(response)) throw new CoveError('cancelled', 'the client went away')
      next = read(reader)
      if ((await soon(next, 0))?.done === true) {
        // The last piece and the end in one write, and where nothing was sent before them the head too.
        response.end(value)
        return
      }
      if (!response.write(value)) await drained(response)
    }
    response.end()
  } catch (error) {
    if (!isGone(response)) throw error
  } finally {
    response.off('close', leave)
    leave()
  }
}

type Reader = ReadableStreamDefaultReader<Uint8Array>
type Piece = Awaited<ReturnType<Reader['read']>>

/** A failure is told to whoever awaits it, which may be nobody any more. */
function read(reader: Reader): Promise<Piece> {
  const piece = reader.read()
  piece.catch(() => undefined)
  return piece
}

/** What comes within so many milliseconds; undefined when nothing does. */
async function soon(piece: Promise<Piece>, ms: number): Promise<Piece | undefined> {
  const late = Promise.withResolvers<undefined>()
  const timer = setTimeout(() => late.resolve(undefined), ms)
  try {
    return await Promise.race([piece, late.promise])
  } finally {
    clearTimeout(timer)
  }
}
