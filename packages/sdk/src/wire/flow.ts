import type { IncomingMessage } from 'node:http'
import { CoveError } from '@cove/domain'

/** Content that has arrived and has not been taken yet; beyond it the socket is not read. */
const QUEUE_BYTES = 512 * 1024

/** The content as it comes. The stream's own iterator would copy what has piled up into one piece each time. */
export async function* flow(message: IncomingMessage): AsyncGenerator<Uint8Array> {
  const queue: Uint8Array[] = []
  let bytes = 0
  let over = false
  let failure: Error | undefined
  let wake: (() => void) | undefined
  message.on('data', (chunk: Uint8Array) => {
    queue.push(chunk)
    bytes += chunk.byteLength
    if (bytes > QUEUE_BYTES) message.pause()
    wake?.()
  })
  message.on('error', (error) => {
    failure = error
    wake?.()
  })
  message.on('close', () => {
    over = true
    wake?.()
  })
  message.on('end', () => {
    over = true
    wake?.()
  })
  try {
    for (;;) {
      // What has piled up is taken at once: a shift for each piece would move all the others.
      for (const chunk of queue.splice(0)) {
        bytes -= chunk.byteLength
        yield chunk
      }
      if (queue.length > 0) continue
      if (failure !== undefined) throw failure
      if (over && message.complete) return
      if (over) throw new CoveError('connection-lost', 'the connection ended inside the answer')
      message.resume()
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  } finally {
    // Leaving early ends the exchange.
    if (!message.complete || !message.readableEnded) message.destroy()
  }
}
