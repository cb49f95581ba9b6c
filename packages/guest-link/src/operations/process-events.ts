import { CoveError, type OutputStream, type ProcessEvent } from '@cove/domain'
import { FrameError, STREAM, type Fields, type StreamNumber } from '@cove/frames'
import type { Channel, Item } from '../channel.ts'
import { readExit } from '../wire/exit-fields.ts'
import { OUTPUT_EVENT, OUTPUT_EVENT_KIND } from '../wire/tags.ts'
import { decode } from './call.ts'

/** Output, gaps and the exit of one attached process. Leaving the loop detaches. */
export class ProcessEvents implements AsyncIterableIterator<ProcessEvent> {
  readonly #channel: Channel
  readonly #terminal: boolean
  /** Undefined until the guest has told where the output begins. */
  #offset: number | undefined
  #exited = false
  #done = false
  #detached = false

  constructor(channel: Channel, terminal: boolean, offset: number | undefined) {
    this.#channel = channel
    this.#terminal = terminal
    this.#offset = offset
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<ProcessEvent>> {
    while (!this.#done) {
      let item: Item | undefined
      try {
        item = await this.#channel.next()
      } catch (error) {
        this.#done = true
        throw error
      }
      if (item === undefined) {
        this.#done = true
        if (!this.#exited && this.#channel.error === undefined && !this.#detached) {
          throw this.#channel.violation('a process stream without an exit')
        }
        break
      }
      const taken = item
      const event = decode(this.#channel, () => this.#read(taken))
      if (event !== undefined) return { done: false, value: event }
    }
    return { done: true, value: undefined }
  }

  return(): Promise<IteratorResult<ProcessEvent>> {
    this.#done = true
    this.#detached = true
    this.#channel.close()
    return Promise.resolve({ done: true, value: undefined })
  }

  throw(error: unknown): Promise<IteratorResult<ProcessEvent>> {
    this.#done = true
    this.#channel.close()
    return Promise.reject(CoveError.from(error))
  }

  #read(item: Item): ProcessEvent | undefined {
    if (this.#exited) throw new FrameError('more after an exit')
    switch (item.kind) {
      case 'data': {
        const offset = this.#offset
        if (offset === undefined) throw new FrameError('output without a position')
        this.#offset = moved(offset, item.data.length)
        return { type: 'output', stream: this.#streamName(item.stream), offset, data: item.data }
      }
      case 'event':
        return this.#readEvent(item.fields)
      case 'end':
        return undefined
      case 'overflow':
        throw new FrameError('an overflow of output')
    }
  }

  #readEvent(fields: Fields): ProcessEvent | undefined {
    const kind = fields.needNumber(OUTPUT_EVENT.kind)
    switch (kind) {
      case OUTPUT_EVENT_KIND.position:
        this.#offset = fields.needNumber(OUTPUT_EVENT.offset)
        return undefined
      case OUTPUT_EVENT_KIND.gap: {
        const from = fields.needNumber(OUTPUT_EVENT.from)
        const to = fields.needNumber(OUTPUT_EVENT.to)
        if (from >= to) throw new FrameError('a gap that ends before it begins')
        this.#offset = to
        return { type: 'gap', from, to }
      }
      case OUTPUT_EVENT_KIND.exit: {
        const exit = readExit(fields, OUTPUT_EVENT.exitKind, OUTPUT_EVENT.exitValue)
        if (exit === undefined) throw new FrameError('an exit without a kind')
        this.#exited = true
        return { type: 'exit', exit, timedOut: fields.truth(OUTPUT_EVENT.timedOut) ?? false }
      }
      default:
        // The protocol grows by kinds that an older reader does not know.
        return undefined
    }
  }

  #streamName(stream: StreamNumber): OutputStream {
    if (this.#terminal && stream === STREAM.terminal) return 'terminal'
    if (!this.#terminal && stream === STREAM.stdout) return 'stdout'
    if (!this.#terminal && stream === STREAM.stderr) return 'stderr'
    throw new FrameError('output of a stream that the process does not have')
  }
}

function moved(offset: number, by: number): number {
  const next = offset + by
  if (!Number.isSafeInteger(next)) throw new FrameError('an offset that is too large')
  return next
}
