import { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { eventData } from './event-data.ts'

test('the data of events is found wherever the pieces are cut', async () => {
  const whole = Buffer.from(
    ':\n\nevent: message\r\ndata: {"a":"grüße"}\r\n\r\nid: 1\ndata: one\ndata: two\n\ndata:\n\nretry: 5\n\ndata: cut off',
  )
  for (const size of [1, 7, whole.length]) {
    const chunks = []
    for (let at = 0; at < whole.length; at += size) chunks.push(whole.subarray(at, at + size))
    const events = []
    for await (const data of eventData(Readable.from(chunks))) events.push(data)
    expect(events).toEqual(['{"a":"grüße"}', 'one\ntwo'])
  }
})
