import { connect, type Socket } from 'node:net'
import { CoveError } from '@cove/domain'

/** A stream to a listening unix socket; `guest-unreachable` when nobody listens any more. */
export function connectSocket(path: string, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(CoveError.from(signal.reason, 'cancelled'))
      return
    }
    const socket = connect(path)
    const onAbort = () => {
      socket.destroy()
      reject(CoveError.from(signal.reason, 'cancelled'))
    }
    signal.addEventListener('abort', onAbort, { once: true })
    socket.once('connect', () => {
      signal.removeEventListener('abort', onAbort)
      socket.removeAllListeners('error')
      resolve(socket)
    })
    socket.once('error', (cause) => {
      signal.removeEventListener('abort', onAbort)
      reject(new CoveError('guest-unreachable', `the guest's socket does not answer: ${cause.message}`, {}, { cause }))
    })
  })
}
