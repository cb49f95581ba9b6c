import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeDataHeader, encodeFrame } from './frame-encode.ts'
import { FrameError } from './frame-error.ts'
import { FrameParser, type FrameSink } from './frame-parser.ts'
import { brokenRule } from './testing/broken-rule.ts'
import { FRAME, MAX_PAYLOAD, type StreamNumber } from './frame-types.ts'

class Log implements FrameSink {
  readonly lines: string[] = []
  parts = 0
  #data = ''

  frame(type: number, channel: number, payload: Buffer, stream: number): void {
    this.#flush()
    this.lines.push(`${type}/${channel}/${stream}/${payload.toString('hex')}`)
  }

  data(channel: number, stream: number, bytes: Buffer): void {
    this.parts += 1
    const key = `data/${channel}/${stream}/`
    if (!this.#data.startsWith(key)) this.#flush()
    this.#data = this.#data === '' ? key : this.#data
    this.#data += bytes.toString('hex')
  }

  finish(): string[] {
    this.#flush()
    return this.lines
  }

  #flush(): void {
    if (this.#data !== '') this.lines.push(this.#data)
    this.#data = ''
  }
}

function parse(bytes: Buffer, cuts: readonly number[]): Log {
  const log = new Log()
  const parser = new FrameParser(log)
  let at = 0
  for (const cut of [...cuts].toSorted((left, right) => left - right)) {
    const end = Math.min(cut, bytes.length)
    if (end <= at) continue
    parser.push(bytes.subarray(at, end))
    at = end
  }
  parser.push(bytes.subarray(at))
  return log
}

const anyFrame = fc.oneof(
  fc
    .tuple(
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 0, max: 3 }),
      fc.uint8Array({ minLength: 1, maxLength: 300 }),
    )
    .map(([channel, stream, payload]) => encodeFrame(FRAME.data, channel, payload, stream as StreamNumber)),
  fc
    .tuple(fc.integer({ min: 1, max: 0xffff_ffff }), fc.uint8Array({ maxLength: 300 }))
    .map(([channel, payload]) => encodeFrame(FRAME.event, channel, payload)),
  fc.integer({ min: 1, max: 9 }).map((channel) => encodeFrame(FRAME.end, channel, undefined, 2)),
  fc.constant(encodeFrame(FRAME.pad, 0)),
)

describe('FrameParser', () => {
  it('finds the same frames however the bytes are cut', () => {
    fc.assert(
      fc.property(fc.array(anyFrame, { maxLength: 20 }), fc.array(fc.nat(4000), { maxLength: 30 }), (frames, cuts) => {
        const bytes = Buffer.concat(frames)
        expect(parse(bytes, cuts).finish()).toEqual(parse(bytes, []).finish())
      }),
    )
  })

  it('hands on the bytes of a data frame as they come, without waiting for the rest', () => {
    const log = new Log()
    const parser = new FrameParser(log)
    parser.push(encodeDataHeader(7, 1, 100))
    const chunk = Buffer.alloc(60, 1)
    parser.push(chunk)
    expect(log.parts).toBe(1)
    expect(parser.idle).toBe(false)
    parser.push(Buffer.alloc(40, 2))
    expect(parser.idle).toBe(true)
    expect(log.finish()).toEqual([`data/7/1/${'01'.repeat(60)}${'02'.repeat(40)}`])
  })

  it('does not copy a payload that lies in one chunk', () => {
    const frame = encodeFrame(FRAME.event, 3, Buffer.from('same memory'))
    let seen: Buffer | undefined
    new FrameParser({
      frame(_type, _channel, payload) {
        seen = payload
      },
      data() {},
    }).push(frame)
    expect(seen?.buffer).toBe(frame.buffer)
  })

  it('never throws anything but FrameError, whatever comes', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 20 }), (chunks) => {
        const parser = new FrameParser(new Log())
        const push = (): void => chunks.forEach((chunk) => parser.push(Buffer.from(chunk)))
        expect(brokenRule(push)).not.toBe('another error')
      }),
      { numRuns: 2000 },
    )
  })

  it('takes nothing more after an error', () => {
    const log = new Log()
    const parser = new FrameParser(log)
    expect(() => parser.push(Buffer.alloc(12, 0xff))).toThrow(FrameError)
    parser.push(encodeFrame(FRAME.event, 1))
    expect(log.finish()).toEqual([])
  })

  it('takes nothing more when its sink stops it in the middle of a chunk', () => {
    let frames = 0
    const parser: FrameParser = new FrameParser({
      frame() {
        frames += 1
        parser.stop()
      },
      data() {},
    })
    parser.push(Buffer.concat([encodeFrame(FRAME.event, 1), encodeFrame(FRAME.event, 2)]))
    expect(frames).toBe(1)
  })

  it('collects a control frame of the largest size from single bytes', () => {
    const payload = Buffer.alloc(MAX_PAYLOAD, 0x5a)
    const bytes = encodeFrame(FRAME.opened, 1, payload)
    let seen = 0
    const parser = new FrameParser({
      frame(_type, _channel, whole) {
        seen += whole.equals(payload) ? 1 : 0
      },
      data() {},
    })
    for (let at = 0; at < bytes.length; at += 1) parser.push(bytes.subarray(at, at + 1))
    expect(seen).toBe(1)
  })
})
