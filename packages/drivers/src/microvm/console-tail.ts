import type { Exit } from '@cove/domain'

/** What the last words on the console of a virtual machine mean. */
export interface ConsoleEnd {
  /** How the machine ended, as its first program has told. */
  readonly exit?: Exit
  /** Why it ended without that, for people. */
  readonly reason?: string
}

const MAX_REASON = 300
const ENDED = /^cove-boot: ended (?:exited (\d{1,3})|signaled (\d{1,2})|(out-of-memory))$/
const FAILED = /^cove-boot: failed: (.+)$/
const PANIC = /Kernel panic - not syncing: (.+)$/

/**
 * Reads the end of a console. The last line that says it counts; what whoever is inside writes there is about nothing
 * but its own machine.
 */
export function readConsoleEnd(tail: Uint8Array): ConsoleEnd {
  const lines = Buffer.from(tail)
    .toString('latin1')
    .split(/[\r\n]+/)
  for (const line of lines.toReversed()) {
    const ended = ENDED.exec(line)
    if (ended !== null) {
      const [, code, signal] = ended
      if (code !== undefined && Number(code) <= 255) return { exit: { kind: 'exited', code: Number(code) } }
      if (signal !== undefined && Number(signal) > 0) return { exit: { kind: 'signaled', signal: Number(signal) } }
      if (code === undefined && signal === undefined) return { exit: { kind: 'out-of-memory' } }
      continue
    }
    const failed = FAILED.exec(line)?.[1]
    if (failed !== undefined) return { reason: printable(failed) }
    const panic = PANIC.exec(line)?.[1]
    if (panic !== undefined) return { reason: `kernel panic: ${printable(panic)}` }
  }
  return {}
}

/** Whoever is inside decides what it is. */
function printable(text: string): string {
  return text
    .replaceAll(/[^\x20-\x7e]/g, '?')
    .trim()
    .slice(0, MAX_REASON)
}
