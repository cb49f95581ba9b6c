import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { errorFrame, eventFrame, frame, outputFrame } from '../../test/support/frames.ts'
import { eventFrames } from './event-frames.ts'

async function* cut(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += size) yield bytes.subarray(at, at + size)
}

describe('an event stream', () => {
  it('keeps every byte of output at its offset, however it is cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 6 }),
        fc.integer({ min: 1, max: 250 }),
        async (parts, size) => {
          let offset = 0
          const frames = parts.map((part) => {
            offset += part.byteLength
            return outputFrame('stdout', offset - part.byteLength, part)
          })
          const end = eventFrame({ case: 'ended', value: { timedOut: true } })
          let next = 0
          const seen: Uint8Array[] = []
          let ended = false
          for await (const one of eventFrames(cut(Buffer.concat([...frames, end]), size))) {
            if (one.kind === 'event') {
              ended = one.event.event.case === 'ended'
              continue
            }
            expect(one.offset).toBe(next)
            next += one.data.byteLength
            seen.push(one.data)
          }
          expect(ended).toBe(true)
          expect(Buffer.concat(seen)).toEqual(Buffer.concat(parts))
        },
      ),
    )
  })

  it('tells offsets beyond 4 GiB', async () => {
    const [first] = await Array.fromAsync(eventFrames(cut(outputFrame('stderr', 2 ** 40 + 5, Buffer.from('x')), 7)))
    expect(first).toMatchObject({ kind: 'output', stream: 'stderr', offset: 2 ** 40 + 5 })
  })

  it('throws the error that the server sends in it', async () => {
    const bytes = errorFrame({ code: 'guest-unreachable', message: 'gone', fix: 'wait', requestId: 'r1' })
    await expect(eventFrames(cut(bytes, 9)).next()).rejects.toMatchObject({
      code: 'guest-unreachable',
      message: 'gone',
      fix: 'wait',
      requestId: 'r1',
    })
  })

  it('passes over kinds that it does not know', async () => {
    const bytes = Buffer.concat([frame(9, 0, 0, Buffer.from('later')), outputFrame('stdout', 0, Buffer.from('a'))])
    expect(await Array.fromAsync(eventFrames(cut(bytes, 3)))).toHaveLength(1)
  })

  it.each([
    ['a frame over the limit', frame(1, 1, 0, Buffer.alloc(0)).fill(0xff, 8, 12), 'internal'],
    ['output of no stream', frame(1, 7, 0, Buffer.from('x')), 'internal'],
    ['half a head', frame(1, 1, 0, Buffer.alloc(0)).subarray(0, 5), 'connection-lost'],
    ['half a frame', outputFrame('stdout', 0, Buffer.from('abc')).subarray(0, 14), 'connection-lost'],
  ])('ends with an error at %s', async (_what, bytes, code) => {
    await expect(Array.fromAsync(eventFrames(cut(bytes, 64)))).rejects.toMatchObject({ code })
  })
})
