import type { Process, TerminalSize } from '@cove/sdk'
import type { Io } from '../io.ts'

/** A terminal that does not know its size says 0 by 0. */
export function terminalSize({ stdout: { rows = 0, columns = 0 } }: Io): TerminalSize {
  return rows > 0 && columns > 0 ? { rows, columns } : { rows: 24, columns: 80 }
}

/** What programs in a terminal ask for. */
export function terminalEnvironment({ env }: Io): Record<string, string> {
  const { TERM, COLORTERM } = env
  return { TERM: TERM ?? 'xterm-256color', ...(COLORTERM === undefined ? {} : { COLORTERM }) }
}

/** Hands the terminal over: every key goes inside as it is, and its size too. Dispose to take it back. */
export function handOverTerminal(io: Io, process: Process): Disposable {
  const raw = io.stdin.isTTY === true && io.stdin.setRawMode !== undefined
  if (raw) io.stdin.setRawMode?.(true)
  const resize = () => {
    // Only looks suffer when it does not arrive.
    process.resize(terminalSize(io)).catch(() => {})
  }
  io.stdout.on('resize', resize)
  return {
    [Symbol.dispose]: () => {
      io.stdout.off('resize', resize)
      if (raw) io.stdin.setRawMode?.(false)
    },
  }
}
