import type { Socket } from 'node:net'
import { CoveError } from '@cove/domain'

/** Lines of the machine's own first program are short; of a guest that has taken it over they need not be. */
const MAX_LINE = 4096
const AGAIN_MS = 200

/**
 * The port on which the first program of a virtual machine takes orders. One connection for each order, so that
 * whoever comes after a daemon that was killed finds the port free.
 */
export class ControlPort {
  readonly #connect: (signal: AbortSignal) => Promise<Socket>

  constructor(connect: (signal: AbortSignal) => Promise<Socket>) {
    this.#connect = connect
  }

  /**
   * Gives an order that has no answer, again and again until `until`: it may be taken late, and an agent that is just
   * starting does not hear it. Never fails.
   */
  async tell(order: string, until: Promise<unknown>, signal: AbortSignal): Promise<void> {
    const socket = await this.#connect(signal).catch(() => undefined)
    if (socket === undefined) return
    socket.on('error', () => undefined)
    // Whatever it says is not for this one.
    socket.resume()
    socket.unref()
    socket.write(`${order}\n`)
    const again = setInterval(() => {
      if (socket.writableLength === 0) socket.write(`${order}\n`)
    }, AGAIN_MS).unref()
    socket.on('close', () => clearInterval(again))
    void until.then(() => socket.destroy())
  }

  /** Gives an order and waits until it is carried out. `driver-failed` with the reason when it is not. */
  async ask(order: string, signal: AbortSignal): Promise<void> {
    const socket = await this.#connect(signal)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const onAbort = () => reject(CoveError.from(signal.reason, 'cancelled'))
    let text = ''
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n')) {
        const line = text.slice(0, end).trim()
        text = text.slice(end + 1)
        if (line === 'ok') resolve()
        else if (line.startsWith('error ')) reject(refused(line.slice('error '.length)))
      }
      if (text.length > MAX_LINE) reject(refused('it answers what is no answer'))
    })
    socket.on('error', (cause) => reject(gone(cause)))
    socket.on('close', () => reject(gone()))
    try {
      if (signal.aborted) onAbort()
      signal.addEventListener('abort', onAbort, { once: true })
      socket.write(`${order}\n`)
      await promise
    } finally {
      signal.removeEventListener('abort', onAbort)
      socket.destroy()
    }
  }
}

const refused = (why: string): CoveError =>
  new CoveError(
    'driver-failed',
    `the machine's first program refuses: ${why.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 300)}`,
  )

const gone = (cause?: Error): CoveError =>
  new CoveError('guest-unreachable', 'the machine has ended', {}, cause === undefined ? {} : { cause })
