import type { Duplex } from 'node:stream'
import { breakOff } from './exchange.ts'

export interface Join {
  readonly client: Duplex
  readonly guest: Duplex
  /** What the client has sent already. */
  readonly head: Uint8Array
  /** Ends both. */
  readonly signal: AbortSignal
  /** Told whenever bytes move, in whichever direction. */
  readonly onTraffic: () => void
}

/** How long what is left to one side may take to arrive after the other has gone. */
const LINGER_MS = 30_000

/**
 * Makes one connection of two: bytes go both ways at the speed of the slower side, the end of one direction leaves
 * the other open, and when one side breaks the other is broken too, so that nobody takes a part for the whole.
 */
export function joinStreams({ client, guest, head, signal, onTraffic }: Join): void {
  let timer: NodeJS.Timeout | undefined
  const end = (): void => {
    breakOff(client)
    breakOff(guest)
  }
  const closed = (): void => {
    if (client.destroyed && guest.destroyed) {
      signal.removeEventListener('abort', end)
      clearTimeout(timer)
      return
    }
    // When both directions have ended, what is under way may still arrive.
    if (client.readableEnded && guest.readableEnded) timer ??= setTimeout(end, LINGER_MS)
    else end()
  }
  client.once('close', closed)
  guest.once('close', closed)
  signal.addEventListener('abort', end, { once: true })
  client.on('data', onTraffic)
  guest.on('data', onTraffic)
  if (head.length > 0) guest.write(head)
  client.pipe(guest)
  guest.pipe(client)
  if (signal.aborted || client.destroyed || guest.destroyed) end()
}
