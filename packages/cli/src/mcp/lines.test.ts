import { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { TOO_LONG, linesOf } from './lines.ts'

async function read(chunks: readonly (string | Buffer)[], most = 100) {
  const lines = []
  for await (const line of linesOf(Readable.from(chunks), most)) lines.push(line)
  return lines
}

test('lines are found wherever the pieces are cut', async () => {
  const whole = Buffer.from('{"a":1}\r\n\n  \n{"b":"grüße"}\nlast')
  const bytes = Array.from(whole, (_, index) => whole.subarray(index, index + 1))
  for (const chunks of [[whole], bytes, [whole.subarray(0, 20), whole.subarray(20)]]) {
    expect(await read(chunks)).toEqual(['{"a":1}', '{"b":"grüße"}', 'last'])
  }
})

test('a line that is too long is left out, and the next one is read', async () => {
  expect(await read(['x'.repeat(101), 'x\nnext\n'])).toEqual([TOO_LONG, 'next'])
  expect(await read([`${'x'.repeat(101)}\nnext`])).toEqual([TOO_LONG, 'next'])
  expect(await read(['x'.repeat(60), 'x'.repeat(60), 'x'.repeat(60), '\n', 'next\n'])).toEqual([TOO_LONG, 'next'])
  expect(await read(['x'.repeat(100), '\nnext'])).toEqual(['x'.repeat(100), 'next'])
})
