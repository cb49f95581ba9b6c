import { CoveError } from '@cove/domain'
import { unread, type Request } from '../exchange.ts'

/** The body of an upload. Only the client's silence counts as standing still, not the guest's. */
export async function* uploadBody(request: Request, stalledMs: number): AsyncGenerator<Uint8Array> {
  let waiting = true
  let stalled = false
  const timer = setInterval(() => {
    if (!waiting) return
    stalled = true
    request.destroy()
  }, stalledMs)
  try {
    for await (const chunk of unread(request)) {
      waiting = false
      yield chunk
      waiting = true
      timer.refresh()
    }
  } catch (error) {
    if (stalled) throw new CoveError('deadline-exceeded', `nothing of the body came for ${stalledMs} ms`)
    throw new CoveError('cancelled', 'the client went away before its whole body had come', {}, { cause: error })
  } finally {
    clearInterval(timer)
  }
  if (!request.complete) throw new CoveError('cancelled', 'the client went away before its whole body had come')
}
