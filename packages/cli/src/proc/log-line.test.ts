import { expect, it } from 'vitest'
import { formatLogLine, parseLogLine, type LogLine } from './log-line.ts'

const time = new Date('2026-01-31T12:34:56.789Z')
const lines: readonly LogLine[] = [
  { time, stream: 'stdout', text: 'hello', continued: false },
  { time, stream: 'stderr', text: '', continued: false },
  { time, stream: 'cove', text: ' started, pid 4', continued: false },
  { time, stream: 'stdout', text: '+ o e = \r', continued: true },
]

it.each(lines)('$stream $text is read as it was written', (line) => {
  const written = formatLogLine(line)
  expect(written.endsWith('\n')).toBe(true)
  expect(parseLogLine(written.slice(0, -1))).toEqual(line)
})

it.each(['', 'hello', '2026-01-31T12:34:56.789Z', '2026-01-31T12:34:56.789Z x y', '2026-99-31T12:34:56.789Z o y'])(
  '%j is no line of a log',
  (line) => expect(parseLogLine(line)).toBeUndefined(),
)
