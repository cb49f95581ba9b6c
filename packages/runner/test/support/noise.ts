import { FieldsWriter, FRAME } from '@cove/frames'

type Next = (limit: number) => number

/** What a broken or hostile daemon could say: bytes, or requests with wild content behind a proper greeting. */
export function noisyTalk(seed: number): Buffer {
  const next = generator(seed)
  if (seed % 3 === 0) return noise(next, next(400))
  const parts = [frame(FRAME.hello, 0, new FieldsWriter().number(1, 1).text(6, 'test').finish())]
  for (let channel = 2; channel < 12; channel += 1) {
    // Never destroy and stop: those would do as they are told.
    const operation = [1, 2, 3, 5, 6, 7, 8, 10, 99][next(9)] ?? 1
    parts.push(frame(FRAME.open, channel, wildFields(next, new FieldsWriter().number(1, operation), 6)))
    if (operation === 1) {
      parts.push(frame(FRAME.data, channel, wildFields(next, new FieldsWriter(), 20)))
      parts.push(frame(FRAME.end, channel, Buffer.alloc(0)))
    }
    if (next(8) === 0) parts.push(frame(next(12), next(5), noise(next, next(60))))
  }
  return Buffer.concat(parts)
}

/** The same numbers for the same seed, so that a failure can be repeated. */
function generator(seed: number): Next {
  let state = Math.imul(seed, 2_654_435_761) + 1
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 0x1_0000_0000) * limit)
  }
}

function noise(next: Next, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => next(256)))
}

function wildFields(next: Next, fields: FieldsWriter, limit: number): Buffer {
  for (let count = next(limit); count > 0; count -= 1) {
    const tag = 2 + next(18)
    const shape = next(3)
    if (shape === 0) fields.bytes(tag, noise(next, next(30)))
    else if (shape === 1) fields.text(tag, `/cove-test-nowhere/${next(1000)}`)
    else fields.fields(tag, new FieldsWriter().number(1, next(300)).text(2, `/cove-test-nowhere/${next(1000)}`))
  }
  return fields.finish()
}

function frame(type: number, channel: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(12)
  header.writeUInt32BE(payload.length, 0)
  header[4] = type
  header.writeUInt32BE(channel, 8)
  return Buffer.concat([header, payload])
}
