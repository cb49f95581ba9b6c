import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { StreamNumber } from '@cove/frames'
import { ReceiveQueue } from './receive-queue.ts'

type Step =
  | { readonly do: 'bytes'; readonly stream: StreamNumber; readonly data: Uint8Array }
  | { readonly do: 'marker'; readonly marker: number }
  | { readonly do: 'shift' }

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constant('bytes' as const),
    stream: fc.constantFrom<StreamNumber>(1, 2),
    data: fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 50 }),
      fc.integer({ min: 1, max: 40_000 }).map((n) => Buffer.alloc(n, n)),
    ),
  }),
  fc.record({ do: fc.constant('marker' as const), marker: fc.nat() }),
  fc.constant({ do: 'shift' as const }),
)

/** Runs of bytes and markers as one text, so that how the bytes are cut does not matter. */
class Transcript {
  #text = ''
  #stream: number | undefined
  bytes(stream: number, data: Uint8Array): void {
    if (stream !== this.#stream) this.#text += `\n${stream}:`
    this.#stream = stream
    this.#text += Buffer.from(data).toString('hex')
  }
  marker(marker: number): void {
    this.#stream = undefined
    this.#text += `\n!${marker}`
  }
  toString(): string {
    return this.#text
  }
}

describe('ReceiveQueue', () => {
  it('gives back in order what was put in', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const queue = new ReceiveQueue<number>()
        const put = new Transcript()
        const got = new Transcript()
        const shift = (): boolean => {
          const entry = queue.shift()
          if (entry === undefined) return false
          if ('marker' in entry) got.marker(entry.marker)
          else got.bytes(entry.piece.stream, entry.piece.data)
          return true
        }
        for (const one of steps) {
          if (one.do === 'bytes') {
            queue.pushBytes(one.stream, Buffer.from(one.data))
            put.bytes(one.stream, one.data)
          } else if (one.do === 'marker') {
            queue.pushMarker(one.marker)
            put.marker(one.marker)
          } else shift()
        }
        while (shift());
        expect(got.toString()).toBe(put.toString())
        expect(queue.empty).toBe(true)
      }),
    )
  })

  it('keeps what it gave unchanged while more comes', () => {
    const queue = new ReceiveQueue<never>()
    queue.pushBytes(1, Buffer.from('first'))
    const entry = queue.shift()
    queue.pushBytes(1, Buffer.from('second'))
    expect(entry).toMatchObject({ piece: { data: Buffer.from('first') } })
  })

  it('holds a megabyte of single bytes in a few megabytes, the streams in turn', () => {
    const queue = new ReceiveQueue<never>()
    const chunk = Buffer.alloc(65_536)
    const before = process.memoryUsage()
    for (let at = 0; at < 1_048_576; at += 1)
      queue.pushBytes(at % 2 === 0 ? 1 : 2, chunk.subarray(at % 65_536, (at % 65_536) + 1))
    const after = process.memoryUsage()
    expect(after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers).toBeLessThan(48 * 1024 * 1024)
    expect(queue.shift()).toMatchObject({ piece: { stream: 1 } })
  })
})
