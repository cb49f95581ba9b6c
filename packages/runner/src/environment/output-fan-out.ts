import type { Line } from './line.ts'
import { LineReader } from './line-reader.ts'
import { LineSplitter } from './line-splitter.ts'

export type LineSink = (line: Line) => void | Promise<void>

/**
 * Carries the output of one process to everybody who wants its lines: one line at a time, each stream in its order, at
 * the pace of the slowest.
 */
export class OutputFanOut {
  readonly #splitters = { stdout: new LineSplitter('stdout'), stderr: new LineSplitter('stderr') }
  readonly #sinks = new Set<{ readonly call: LineSink }>()
  readonly #readers = new Set<LineReader>()
  #closed = false
  #busy: Promise<void> | undefined

  addSink(call: LineSink): void {
    this.#sinks.add({ call })
  }

  lines(): AsyncIterableIterator<Line> {
    const reader = new LineReader((left) => this.#readers.delete(left))
    if (this.#closed) reader.end()
    else this.#readers.add(reader)
    return reader
  }

  /**
   * Takes bytes of a stream; the buffer may be used again when this returns. A promise, which never rejects, when the
   * stream is to wait until somebody has read.
   */
  write(stream: Line['stream'], chunk: Buffer): Promise<void> | undefined {
    const splitter = this.#splitters[stream]
    if (this.#sinks.size > 0 || this.#readers.size > 0) return this.#deliver(splitter.push(chunk))
    splitter.skip(chunk)
    return undefined
  }

  /** The stream has ended: what came after its last line end is a line too. */
  async end(stream: Line['stream']): Promise<void> {
    await this.#deliver(this.#splitters[stream].end())
  }

  /** Nothing more comes; readers end when they have read what is there. */
  close(): void {
    this.#closed = true
    for (const reader of this.#readers) reader.end()
    this.#readers.clear()
  }

  #deliver(lines: readonly Line[]): Promise<void> | undefined {
    if (lines.length === 0) return this.#busy
    const work = this.#busy === undefined ? this.#hand(lines) : this.#busy.then(() => this.#hand(lines))
    if (work === undefined) return undefined
    const busy = work.finally(() => {
      if (this.#busy === busy) this.#busy = undefined
    })
    this.#busy = busy
    return busy
  }

  #hand(lines: readonly Line[]): Promise<void> | undefined {
    if (this.#sinks.size > 0) {
      for (let at = 0; at < lines.length; at += 1) {
        const line = lines[at]
        const waiting = line === undefined ? undefined : this.#call(line)
        if (waiting !== undefined) return this.#handSlowly(waiting, lines, at + 1)
      }
    }
    return this.#give(lines)
  }

  /** At least one sink waits. */
  async #handSlowly(first: Promise<unknown>, lines: readonly Line[], from: number): Promise<void> {
    await first
    for (let at = from; at < lines.length; at += 1) {
      const line = lines[at]
      if (line !== undefined) await this.#call(line)
    }
    await this.#give(lines)
  }

  #call(line: Line): Promise<unknown> | undefined {
    let waiting: Promise<unknown> | undefined
    for (const sink of this.#sinks) {
      try {
        const answer = sink.call(line)
        if (answer === undefined) continue
        const settled = answer.then(undefined, () => this.#sinks.delete(sink))
        waiting = waiting === undefined ? settled : Promise.all([waiting, settled])
      } catch {
        this.#sinks.delete(sink)
      }
    }
    return waiting
  }

  #give(lines: readonly Line[]): Promise<void> | undefined {
    let waiting: Promise<void> | undefined
    for (const reader of this.#readers) {
      const drained = reader.push(lines)
      if (drained !== undefined) waiting = waiting === undefined ? drained : waiting.then(() => drained)
    }
    return waiting
  }
}
