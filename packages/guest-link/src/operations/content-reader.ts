import { CoveError } from '@cove/domain'
import { STREAM } from '@cove/frames'
import type { Channel, Item } from '../channel.ts'

/** The bytes of stream 0 until its end. Leaving the loop early closes the channel. */
export class ContentReader implements AsyncIterableIterator<Uint8Array> {
  readonly #channel: Channel
  #ended = false
  #done = false

  constructor(channel: Channel) {
    this.#channel = channel
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<Uint8Array>> {
    while (!this.#done) {
      let item: Item | undefined
      try {
        item = await this.#channel.next()
      } catch (error) {
        this.#done = true
        throw error
      }
      if (item === undefined) {
        if (!this.#ended && !this.#done) {
          this.#done = true
          throw this.#channel.violation('content without its end')
        }
        this.#done = true
      } else if (this.#ended || item.kind === 'event' || item.kind === 'overflow' || item.stream !== STREAM.content) {
        this.#done = true
        throw this.#channel.violation('something else among content')
      } else if (item.kind === 'end') {
        this.#ended = true
      } else {
        return { done: false, value: item.data }
      }
    }
    return { done: true, value: undefined }
  }

  return(): Promise<IteratorResult<Uint8Array>> {
    this.#done = true
    this.#channel.close()
    return Promise.resolve({ done: true, value: undefined })
  }

  throw(error: unknown): Promise<IteratorResult<Uint8Array>> {
    this.#done = true
    this.#channel.close()
    return Promise.reject(CoveError.from(error))
  }
}
