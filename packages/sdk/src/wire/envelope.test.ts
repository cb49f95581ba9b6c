import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { envelope, envelopes } from './envelope.ts'

/** The same bytes in pieces of the given sizes, over and over. */
async function* cut(bytes: Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  for (let at = 0, turn = 0; at < bytes.byteLength; turn++) {
    const size = sizes[turn % sizes.length] ?? 1
    yield bytes.subarray(at, at + size)
    at += size
  }
}

describe('enveloped messages', () => {
  it('come out as they went in, however the connection cuts them', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 5 }),
        async (messages, sizes) => {
          const bytes = Buffer.concat(messages.map(envelope))
          const seen: Buffer[] = []
          for await (const { data } of envelopes(cut(bytes, sizes))) seen.push(Buffer.from(data))
          expect(seen).toEqual(messages.map((message) => Buffer.from(message)))
        },
      ),
    )
  })

  it('are refused when they claim to be huge, before any memory is taken', async () => {
    const head = Buffer.from([0, 0xff, 0xff, 0xff, 0xff])
    await expect(envelopes(cut(head, [5])).next()).rejects.toMatchObject({ code: 'internal' })
  })

  it.each([1, 4, 6])('that end after %d bytes are a lost connection', async (length) => {
    const all = async () => {
      for await (const _ of envelopes(cut(envelope(Buffer.from('abcdef')).subarray(0, length), [2]))) continue
    }
    await expect(all()).rejects.toMatchObject({ code: 'connection-lost' })
  })
})
