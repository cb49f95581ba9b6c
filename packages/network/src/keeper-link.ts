import { connect } from 'node:net'
import { CoveError } from '@cove/domain'

export interface KeeperLink {
  /** The rules are loaded; whether this host has IPv6 that leads anywhere. */
  readonly rules: Promise<{ readonly inet6: boolean }>
  /** The namespace is connected. */
  readonly ready: Promise<void>
}

const MAX_BYTES = 1024

/** Listens to what a keeper says. Both promises fail when it ends first, and with `cancelled` when the signal aborts. */
export function linkToKeeper(path: string, signal: AbortSignal): KeeperLink {
  const rules = Promise.withResolvers<{ readonly inet6: boolean }>()
  const ready = Promise.withResolvers<void>()
  const fail = (error: CoveError) => {
    rules.reject(error)
    ready.reject(error)
  }
  // Whoever has given up waiting has said why elsewhere.
  rules.promise.catch(() => undefined)
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
    const rules6 = lines.includes('rules 6')
    if (rules6 || lines.includes('rules 4')) rules.resolve({ inet6: rules6 })
    if (lines.includes('ready')) ready.resolve()
    if (lines.includes('ready') || said.length > MAX_BYTES) socket.destroy()
  })
  socket.on('error', () => undefined)
  socket.on('close', () => {
    signal.removeEventListener('abort', abort)
    fail(new CoveError('network-unavailable', 'the network could not be set up'))
  })
  return { rules: rules.promise, ready: ready.promise }
}
