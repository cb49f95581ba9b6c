import type { Process, TerminalSize } from '@cove/sdk'
import type { Io } from '../io.ts'

const DEFAULT_SIZE: TerminalSize = { rows: 24, columns: 80 }

export function terminalSize({ stdout }: Io): TerminalSize {
  return { rows: stdout.rows ?? DEFAULT_SIZE.rows, columns: stdout.columns ?? DEFAULT_SIZE.columns }
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
