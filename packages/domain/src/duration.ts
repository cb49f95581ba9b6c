import { CoveError } from './errors/cove-error.ts'

const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
type Unit = keyof typeof UNIT_MS

const WHOLE = /^(\d+(\.\d+)?(ms|s|m|h|d))+$/
const PART = /(\d+(?:\.\d+)?)(ms|s|m|h|d)/g

/** 100 years: beyond that a timer means never. */
const MAX_MS = 100 * 365 * UNIT_MS.d

/** Milliseconds in `90s`, `1h30m`, `500ms`; a bare number has no unit and is refused. */
export function parseDuration(text: string, field = 'duration'): number {
  if (!WHOLE.test(text)) {
    throw new CoveError(
      'invalid-argument',
      `${field} ${JSON.stringify(text.slice(0, 40))} is not a duration`,
      { field },
      {
        fix: 'Write a number with a unit: 500ms, 90s, 30m, 2h, 1h30m, 7d.',
      },
    )
  }
  let total = 0
  for (const [, number, unit] of text.matchAll(PART)) total += Number(number) * UNIT_MS[unit as Unit]
  if (total > MAX_MS) throw new CoveError('invalid-argument', `${field} ${text} is over 100 years`, { field })
  return Math.round(total)
}

/** The shortest exact form, such as `1h30m`. */
export function formatDuration(ms: number): string {
  if (ms === 0) return '0s'
  let rest = Math.round(ms)
  let text = ''
  for (const unit of ['d', 'h', 'm', 's', 'ms'] as const) {
    const count = Math.floor(rest / UNIT_MS[unit])
    if (count > 0) text += `${count}${unit}`
    rest -= count * UNIT_MS[unit]
  }
  return text
}
