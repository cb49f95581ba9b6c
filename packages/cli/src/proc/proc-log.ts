import type { Line } from '@cove/runner'
import { openLogFile, type LogFile } from '../daemon/log-file.ts'
import { formatLogLine, type LogLine } from './log-line.ts'

/** Characters of one line of the file; longer ones go on in the next. */
const MOST_LINE = 16_384
/** Characters that are written at once. */
const MOST_WAITING = 65_536

/** Writes what a process says into its bounded log, many lines at a time. */
export class ProcLog implements Disposable {
  readonly #file: LogFile
  #waiting = ''
  #scheduled = false

  /** At most so many bytes are kept, in two files. */
  constructor(path: string, mostBytes: number) {
    this.#file = openLogFile(path, Math.floor(mostBytes / 2))
  }

  line({ stream, text, continued }: Line): void {
    const time = new Date()
    for (let at = 0; at === 0 || at < text.length; at += MOST_LINE) {
      const last = at + MOST_LINE >= text.length
      this.#add({ time, stream, text: text.slice(at, at + MOST_LINE), continued: continued || !last })
    }
  }

  /** What the supervisor did. */
  note(text: string): void {
    this.#add({ time: new Date(), stream: 'cove', text: text.replaceAll('\n', ' '), continued: false })
  }

  [Symbol.dispose](): void {
    this.#write()
    this.#file[Symbol.dispose]()
  }

  #add(line: LogLine): void {
    this.#waiting += formatLogLine(line)
    if (this.#waiting.length >= MOST_WAITING) this.#write()
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#write()
    })
  }

  #write(): void {
    if (this.#waiting !== '') this.#file.write(this.#waiting)
    this.#waiting = ''
  }
}
