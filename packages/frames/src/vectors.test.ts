import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { encodeFrame } from './frame-encode.ts'
import { brokenRule } from './testing/broken-rule.ts'
import { FrameParser } from './frame-parser.ts'
import { FRAME, type FrameType, type StreamNumber } from './frame-types.ts'
import { Fields } from './fields.ts'
import { FieldsWriter } from './fields-writer.ts'
import { PreambleScanner } from './preamble.ts'

interface FrameVector {
  readonly type: string
  readonly channel: number
  readonly flags: number
  readonly payload: string
}
interface Vector {
  readonly name: string
  readonly hex: string
  readonly error?: string
}
interface Vectors {
  readonly headers: readonly (Vector & { length?: number; type?: string; flags?: number; channel?: number })[]
  readonly streams: readonly (Vector & { frames: readonly FrameVector[]; unfinished?: number })[]
  readonly fields: readonly (Vector & { fields?: readonly (readonly [number, string])[] })[]
  readonly values: readonly (Vector & {
    tag: number
    as: 'number' | 'truth' | 'text'
    value?: string | boolean | null
  })[]
  readonly preambles: readonly (Vector & { found: readonly { end: number; nonce: string }[] })[]
  readonly messages: readonly (Vector & Readonly<Record<string, unknown>>)[]
}

const vectors = JSON.parse(
  readFileSync(new URL('../../../guest/vectors/frames.json', import.meta.url), 'utf8'),
) as Vectors

const TYPE_NAMES = new Map<number, string>(Object.entries(FRAME).map(([name, number]) => [number, name.toUpperCase()]))

class Collector {
  readonly frames: FrameVector[] = []
  #open: { channel: number; stream: number; bytes: Buffer[] } | undefined

  frame(type: FrameType, channel: number, payload: Buffer, stream: StreamNumber): void {
    this.frames.push({
      type: TYPE_NAMES.get(type) ?? '?',
      channel,
      flags: stream,
      payload: payload.toString('hex'),
    })
  }

  data(channel: number, stream: StreamNumber, bytes: Buffer): void {
    this.#open ??= { channel, stream, bytes: [] }
    this.#open.bytes.push(bytes)
  }

  /** The bytes of an unfinished `data` frame; whole ones become a frame. */
  settle(idle: boolean): number {
    const open = this.#open
    this.#open = undefined
    if (open === undefined) return 0
    const payload = Buffer.concat(open.bytes)
    if (!idle) return payload.length
    this.frames.push({ type: 'DATA', channel: open.channel, flags: open.stream, payload: payload.toString('hex') })
    return 0
  }
}

/** Pushes `bytes` in pieces of `size`, and says what was found and which rule was broken. */
function parse(bytes: Buffer, size: number): { frames: FrameVector[]; error: string | undefined } {
  const collector = new Collector()
  const parser = new FrameParser(collector)
  const error = brokenRule(() => {
    for (let at = 0; at < bytes.length; at += size) {
      parser.push(bytes.subarray(at, at + size))
      if (parser.idle) collector.settle(true)
    }
  })
  collector.settle(false)
  return { frames: collector.frames, error }
}

describe('the vectors shared with the guest', () => {
  it.each(vectors.headers)('header: $name', (vector) => {
    const bytes = Buffer.from(vector.hex, 'hex')
    const payload = Buffer.alloc(vector.error === undefined ? (vector.length ?? 0) : 0, 0x61)
    const { frames, error } = parse(Buffer.concat([bytes, payload]), bytes.length + payload.length)
    expect(error).toBe(vector.error)
    // `PAD` and an empty `DATA` say nothing.
    const silent = error !== undefined || vector.type === 'PAD' || (vector.type === 'DATA' && vector.length === 0)
    const frame = { type: vector.type, channel: vector.channel, flags: vector.flags, payload: payload.toString('hex') }
    expect(frames).toEqual(silent ? [] : [frame])
  })

  it.each(vectors.headers.filter((vector) => vector.error === undefined))('header written: $name', (vector) => {
    const type = FRAME[vector.type?.toLowerCase() as keyof typeof FRAME]
    const payload = Buffer.alloc(vector.length ?? 0)
    const frame = encodeFrame(type, vector.channel ?? 0, payload, (vector.flags ?? 0) as StreamNumber)
    expect(frame.subarray(0, 12).toString('hex')).toBe(vector.hex)
  })

  it.each(vectors.streams)('stream: $name', (vector) => {
    const told = vector.frames.filter(
      (frame) => frame.type !== 'PAD' && (frame.type !== 'DATA' || frame.payload !== ''),
    )
    for (const size of [1, 2, 3, 7, 12, 13, 4096]) {
      const { frames, error } = parse(Buffer.from(vector.hex, 'hex'), size)
      expect(error).toBe(vector.error)
      expect(frames).toEqual(told)
    }
  })

  it.each(vectors.fields.filter((vector) => vector.error !== undefined))('fields: $name', (vector) => {
    expect(brokenRule(() => new Fields(Buffer.from(vector.hex, 'hex')))).toBe(vector.error)
  })

  it.each(vectors.fields.filter((vector) => vector.error === undefined))('fields: $name', (vector) => {
    const fields = new Fields(Buffer.from(vector.hex, 'hex'))
    const pairs = vector.fields ?? []
    for (const tag of new Set(pairs.map((pair) => pair[0]))) {
      const expected = pairs.filter((pair) => pair[0] === tag).map((pair) => pair[1])
      expect(fields.allBytes(tag).map((value) => value.toString('hex'))).toEqual(expected)
    }
    const writer = new FieldsWriter()
    for (const [tag, value] of pairs) writer.bytes(tag, Buffer.from(value, 'hex'))
    expect(writer.finish().toString('hex')).toBe(vector.hex)
  })

  it.each(vectors.values)('value: $name', (vector) => {
    const fields = new Fields(Buffer.from(vector.hex, 'hex'))
    let value: string | boolean | null | undefined
    const error = brokenRule(() => {
      if (vector.as === 'number') value = fields.bigint(vector.tag)?.toString() ?? null
      else if (vector.as === 'truth') value = fields.truth(vector.tag) ?? false
      else value = fields.text(vector.tag) ?? null
    })
    expect({ value, error }).toEqual({ value: vector.value, error: vector.error })
  })

  it.each(vectors.preambles)('preamble: $name', (vector) => {
    const bytes = Buffer.from(vector.hex, 'hex')
    for (const size of [1, 2, 5, 16, 39, 40, 41, 4096]) {
      const scanner = new PreambleScanner()
      const found: { end: number; nonce: string }[] = []
      for (let at = 0; at < bytes.length; at += size) {
        const chunk = bytes.subarray(at, at + size)
        let from = 0
        for (;;) {
          const one = scanner.push(chunk, from)
          if (one === undefined) break
          found.push({ end: at + one.end, nonce: one.nonce.toString('hex') })
          from = one.end
        }
      }
      expect(found).toEqual(vector.found)
    }
  })

  it('message: OPEN of a start', () => {
    const vector = vectors.messages.find((message) => message.name === 'OPEN start')
    const payload = new FieldsWriter()
      .number(1, 1)
      .text(2, 'p1')
      .texts(3, ['/bin/echo', 'hi'])
      .texts(4, ['A=b'])
      .truth(9, false)
      .number(250, 262_144)
      .finish()
    expect(encodeFrame(FRAME.open, 1, payload).toString('hex')).toBe(vector?.hex)
  })
})
