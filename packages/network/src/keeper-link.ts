import { connect } from 'node:net'
import { CoveError } from '@cove/domain'

export interface KeeperLink {
  /** The namespace is there, with no way out of it; whether this host has IPv6 that leads anywhere. */
  readonly made: Promise<{ readonly inet6: boolean }>
  /** Its rules are loaded, and after that it was connected. */
  readonly ready: Promise<void>
}

const MAX_BYTES = 1024

/** Listens to what a keeper says. Both promises fail when it ends first, and with `cancelled` when the signal aborts. */
export function linkToKeeper(path: string, signal: AbortSignal): KeeperLink {
  const made = Promise.withResolvers<{ readonly inet6: boolean }>()
  const ready = Promise.withResolvers<void>()
  const fail = (error: CoveError) => {
    made.reject(error)
    ready.reject(error)
  }
  // Whoever has given up waiting has said why elsewhere.
  made.promise.catch(() => undefined)
  ready.promise.catch(() => undefined)
  const socket = connect(path)
  const abort = () => {
    fail(CoveError.from(signal.reason, 'cancelled'))
    socket.destroy()
  }
  if (signal.aborted) abort()
  signal.addEventListener('abort', abort, { once: true })
  let said = ''
  socket.setEncoding('latin1').on('data', (text: string) => {
    said += text
    const lines = said.split('\n').slice(0, -1)
    const made6 = lines.includes('made 6')
    if (made6 || lines.includes('made 4')) made.resolve({ inet6: made6 })
    if (lines.includes('ready')) ready.resolve()
    if (lines.includes('ready') || said.length > MAX_BYTES) socket.destroy()
  })
  socket.on('error', () => undefined)
  socket.on('close', () => {
    signal.removeEventListener('abort', abort)
    fail(new CoveError('network-unavailable', 'the network could not be set up'))
  })
  return { made: made.promise, ready: ready.promise }
}
