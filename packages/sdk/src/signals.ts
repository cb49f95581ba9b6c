import { CoveError } from '@cove/domain'

/** Linux's numbers, the same on x86-64 and arm64. */
export const SIGNALS = {
  HUP: 1,
  INT: 2,
  QUIT: 3,
  ABRT: 6,
  KILL: 9,
  USR1: 10,
  SEGV: 11,
  USR2: 12,
  PIPE: 13,
  ALRM: 14,
  TERM: 15,
  CHLD: 17,
  CONT: 18,
  STOP: 19,
  TSTP: 20,
  TTIN: 21,
  TTOU: 22,
  WINCH: 28,
} as const
/** A signal by its name without `SIG`. */
export type SignalName = keyof typeof SIGNALS

/** `TERM`, `SIGTERM`, `term` or 15. */
export function signalNumber(signal: string | number): number {
  const text = String(signal)
  const name = text.toUpperCase().replace(/^SIG/, '')
  const number = isSignalName(name) ? SIGNALS[name] : /^\d+$/.test(text) ? Number(text) : 0
  if (number >= 1 && number <= 64) return number
  throw new CoveError(
    'invalid-argument',
    `${JSON.stringify(text.slice(0, 40))} is not a signal`,
    { field: 'signal' },
    {
      fix: `Use a number from 1 to 64, or one of ${Object.keys(SIGNALS).join(', ')}.`,
    },
  )
}

/** `TERM` for 15; the number itself where there is no common name. */
export function signalName(number: number): string {
  return Object.keys(SIGNALS).find((name) => isSignalName(name) && SIGNALS[name] === number) ?? String(number)
}

function isSignalName(text: string): text is SignalName {
  return Object.hasOwn(SIGNALS, text)
}
