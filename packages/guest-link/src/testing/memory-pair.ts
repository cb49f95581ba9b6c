import { duplexPair, type Duplex } from 'node:stream'

/** Two ends of one byte stream in memory; destroying one closes the other, as with a socket. */
export function memoryPair(): [Duplex, Duplex] {
  const [left, right] = duplexPair()
  for (const [one, other] of [
    [left, right],
    [right, left],
  ] as const) {
    one.on('error', () => {})
    // In a later turn, so that what was written before arrives first.
    one.once('close', () => setImmediate(() => other.destroy()))
  }
  return [left, right]
}
