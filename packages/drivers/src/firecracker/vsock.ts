import type { Duplex } from 'node:stream'
import { CoveError } from '@cove/domain'
import { connectSocket } from '../host/connect-socket.ts'

/** `OK` and a port of 32 bits, with room. */
const MAX_LINE_BYTES = 32
const DEADLINE_MS = 5_000

/**
 * A stream to what listens at a port of the guest. Firecracker passes on what comes to one unix socket after it has
 * been told the port, and closes it when nobody listens there: `guest-unreachable`. `guest-protocol` when whoever has
 * the socket answers something else.
 */
export async function dialVsock(path: string, port: number, signal: AbortSignal): Promise<Duplex> {
  const limit = AbortSignal.timeout(DEADLINE_MS)
  const socket = await connectSocket(path, AbortSignal.any([signal, limit]))
  try {
    socket.write(`CONNECT ${port}\n`)
    const { line, rest } = await firstLine(socket, AbortSignal.any([signal, limit]))
    if (line === undefined) {
      throw new CoveError('guest-unreachable', `nobody listens at port ${port} of the guest`)
    }
    if (!isAccepted(line)) {
      throw new CoveError('guest-protocol', `the guest's port ${port} was not answered as Firecracker does`)
    }
    if (rest.length > 0) socket.unshift(rest)
    return socket
  } catch (error) {
    socket.destroy()
    if (signal.aborted) throw CoveError.from(signal.reason, 'cancelled')
    throw CoveError.from(error, 'guest-unreachable')
  }
}

/** `OK` with the port that this side has been given. */
export function isAccepted(line: string): boolean {
  const number = /^OK (\d{1,10})$/.exec(line)?.[1]
  return number !== undefined && Number(number) < 2 ** 32
}

/** The first line of what comes, without its end, and what has come after it. Undefined: the other side has closed. */
function firstLine(
  socket: Duplex,
  signal: AbortSignal,
): Promise<{ readonly line: string | undefined; readonly rest: Buffer }> {
  return new Promise((resolve, reject) => {
    let got = Buffer.alloc(0)
    const done = () => {
      socket.off('readable', onReadable).off('end', onEnd).off('error', onEnd).off('close', onEnd)
      signal.removeEventListener('abort', onAbort)
    }
    // Taken out piece by piece, not as it comes: whoever gets the stream decides when it flows.
    const onReadable = () => {
      for (let chunk: unknown = socket.read(); chunk instanceof Buffer; chunk = socket.read()) {
        got = Buffer.concat([got, chunk])
      }
      const end = got.indexOf(0x0a)
      if (end < 0 && got.length <= MAX_LINE_BYTES) return
      done()
      // One that is too long is none that is accepted.
      const length = end < 0 || end > MAX_LINE_BYTES ? MAX_LINE_BYTES : end
      resolve({ line: got.toString('latin1', 0, length), rest: got.subarray(length + 1) })
    }
    // Nobody listens: the connection may also be reset.
    const onEnd = () => {
      done()
      resolve({ line: undefined, rest: got })
    }
    const onAbort = () => {
      done()
      reject(CoveError.from(signal.reason, 'guest-unreachable'))
    }
    socket.on('readable', onReadable).once('end', onEnd).once('error', onEnd).once('close', onEnd)
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
  })
}
