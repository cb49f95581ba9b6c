import { readFileSync } from 'node:fs'
import type { Process } from '@cove/sdk'
import type { Io } from '../io.ts'

/** False when there can be no input, or when reading a terminal in the background would stop this program. */
export function hasInput(io: Io): boolean {
  if (io.stdinIsEmpty === true) return false
  return io.stdin.isTTY !== true || inForeground()
}

/** Fields 5 and 8 of /proc/self/stat: our process group, and the one that the terminal listens to. */
function inForeground(): boolean {
  try {
    const stat = readFileSync('/proc/self/stat', 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields[2] === fields[5]
  } catch {
    return true
  }
}

/** What one call of the API takes; beyond it stdin is not read until the process has taken what there is. */
const PENDING_BYTES = 1024 * 1024

/**
 * Passes stdin on to a process, in order and no faster than it takes it, until either ends. What comes while one piece
 * is on its way goes with the next one. Dispose to stop reading.
 */
export function forwardStdin({ stdin }: Io, process: Process): Disposable {
  let pending: Buffer[] = []
  let bytes = 0
  let ended = false
  let sending = false
  const stop = () => {
    stdin.off('data', take)
    stdin.off('end', finish)
    stdin.pause()
  }
  const send = async () => {
    if (sending) return
    sending = true
    try {
      while (bytes > 0) {
        const data = Buffer.concat(pending)
        pending = []
        bytes = 0
        stdin.resume()
        await process.write(data)
      }
      if (ended) await process.closeStdin()
    } catch {
      // A process that has ended, or has closed its input, wants no more.
      stop()
    } finally {
      sending = false
    }
  }
  const take = (data: Buffer | string) => {
    const piece = Buffer.from(data)
    pending.push(piece)
    bytes += piece.byteLength
    if (bytes >= PENDING_BYTES) stdin.pause()
    void send()
  }
  const finish = () => {
    ended = true
    void send()
  }
  stdin.on('data', take)
  stdin.once('end', finish)
  return { [Symbol.dispose]: stop }
}
