/** One line of a process's log. */
export interface LogLine {
  readonly time: Date
  /** `cove`: what the supervisor did. */
  readonly stream: 'stdout' | 'stderr' | 'cove'
  readonly text: string
  /** The rest of the line follows in the next one of its stream. */
  readonly continued: boolean
}

const MARKS = { stdout: 'o', stderr: 'e', cove: '=' } as const
const STREAMS: Readonly<Record<string, LogLine['stream']>> = { o: 'stdout', e: 'stderr', '=': 'cove' }
/** `2026-01-31T12:00:00.000Z` and a blank. */
const TIME = 25

/** As it stands in the file, with its end: `<time> <mark> <text>`; `+` behind the mark where the line goes on. */
export function formatLogLine({ time, stream, text, continued }: LogLine): string {
  return `${time.toISOString()} ${MARKS[stream]}${continued ? '+' : ''} ${text}\n`
}

/** Undefined for what no supervisor has written, such as the half of a line on a full disk. */
export function parseLogLine(line: string): LogLine | undefined {
  const [, mark = '', more = '', text = ''] = /^([oe=])(\+?) (.*)$/s.exec(line.slice(TIME)) ?? []
  const stream = STREAMS[mark]
  const time = new Date(line.slice(0, TIME - 1))
  if (stream === undefined || Number.isNaN(time.getTime())) return undefined
  return { time, stream, text, continued: more !== '' }
}
