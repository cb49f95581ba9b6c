import type { Line } from '@cove/runner'
import { openLogFile, type LogFile } from '../daemon/log-file.ts'
import { formatLogLine, type LogLine } from './log-line.ts'

/** Characters of one line of the file; longer ones go on in the next. */
const MOST_LINE = 16_384
/** Characters that are written at once. */
const MOST_WAITING = 65_536
/** Both are less in a small file: of what it keeps, so that what is written at once fits into the half of it. */
const SHARE = 16

/** Writes what a process says into its bounded log, many lines at a time. */
export class ProcLog implements Disposable {
  readonly #file: LogFile
  readonly #mostLine: number
  readonly #mostWaiting: number
  #waiting = ''
  #scheduled = false

  /** At most so many bytes are kept, in two files. */
  constructor(path: string, mostBytes: number) {
    this.#file = openLogFile(path, Math.floor(mostBytes / 2))
    this.#mostLine = Math.min(MOST_LINE, Math.floor(mostBytes / SHARE))
    this.#mostWaiting = Math.min(MOST_WAITING, Math.floor(mostBytes / SHARE))
  }

  line({ stream, text, continued }: Line): void {
    const time = new Date()
    let at = 0
    do {
      const end = cutAt(text, at + this.#mostLine)
      this.#add({ time, stream, text: text.slice(at, end), continued: continued || end < text.length })
      at = end
    } while (at < text.length)
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
    if (this.#waiting.length >= this.#mostWaiting) this.#write()
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

/** There, or one before it where that would cut a character in two. */
function cutAt(text: string, at: number): number {
  if (at >= text.length) return text.length
  return (text.codePointAt(at - 1) ?? 0) > 0xffff ? at - 1 : at
}
