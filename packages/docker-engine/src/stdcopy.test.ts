import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { demultiplex } from './stdcopy.ts'

interface Piece {
  readonly stream: 'stdout' | 'stderr'
  readonly data: Uint8Array
}

const frame = ({ stream, data }: Piece): Buffer => {
  const header = Buffer.alloc(8)
  header.writeUInt8(stream === 'stderr' ? 2 : 1, 0)
  header.writeUInt32BE(data.length, 4)
  return Buffer.concat([header, data])
}

async function* cutUp(bytes: Buffer, cuts: readonly number[]): AsyncGenerator<Uint8Array> {
  let at = 0
  for (const size of cuts) {
    yield bytes.subarray(at, at + size)
    at += size
  }
  yield bytes.subarray(at)
}

const piece = fc.record({
  stream: fc.constantFrom('stdout' as const, 'stderr' as const),
  data: fc.uint8Array({ maxLength: 40 }),
})

test('frames come out whole wherever the bytes were cut', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(piece), fc.array(fc.nat(20)), async (pieces, cuts) => {
      const texts = { stdout: '', stderr: '' }
      for await (const { stream, data } of demultiplex(cutUp(Buffer.concat(pieces.map(frame)), cuts))) {
        texts[stream] += data.toString('hex')
      }
      for (const name of ['stdout', 'stderr'] as const) {
        const sent = pieces.filter(({ stream }) => stream === name).map(({ data }) => Buffer.from(data).toString('hex'))
        expect(texts[name]).toBe(sent.join(''))
      }
    }),
  )
})

test('bytes that are no frames are an error, never output', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 64 }), async (noise) => {
      const bytes = Buffer.concat([Buffer.from([9, 0, 0, 0]), noise, Buffer.alloc(8)])
      await expect(Array.fromAsync(demultiplex(cutUp(bytes, [])))).rejects.toMatchObject({ code: 'driver-failed' })
    }),
  )
  const short = frame({ stream: 'stdout', data: Buffer.from('abc') }).subarray(0, 9)
  await expect(Array.fromAsync(demultiplex(cutUp(short, [])))).rejects.toThrow('middle of a frame')
})
