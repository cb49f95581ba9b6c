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

/**
 * Passes stdin on to a process, one piece at a time and no faster than it takes them, until either ends. Dispose to
 * stop reading.
 */
export function forwardStdin(io: Io, process: Process): Disposable {
  const { stdin } = io
  const stop = () => {
    stdin.off('data', pass)
    stdin.off('end', close)
    stdin.pause()
  }
  const pass = (data: Uint8Array | string) => {
    stdin.pause()
    // A process that has ended, or has closed its input, wants no more.
    process.write(data).then(() => stdin.resume(), stop)
  }
  const close = () => {
    process.closeStdin().catch(stop)
  }
  stdin.on('data', pass)
  stdin.once('end', close)
  return { [Symbol.dispose]: stop }
}
