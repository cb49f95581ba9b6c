import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { hearLines } from './hear-lines.ts'

async function heard(...pieces: readonly string[]): Promise<string[]> {
  const output = new PassThrough()
  const lines: string[] = []
  hearLines(output, 10, (line) => lines.push(line))
  const ended = once(output, 'end')
  for (const piece of pieces) output.write(piece)
  output.end()
  await ended
  return lines
}

test('lines are told as they come, however they are cut', async () => {
  expect(await heard('one\ntw', 'o\n\nthr', 'ee')).toEqual(['one', 'two', '', 'three'])
  expect(await heard('one\r\ntwo\n')).toEqual(['one', 'two'])
  expect(await heard()).toEqual([])
})

test('of a line without end only its beginning is kept', async () => {
  expect(await heard(...Array.from({ length: 1_000 }, () => 'x'.repeat(1_000)), '\nnext\n')).toEqual([
    'x'.repeat(10),
    'next',
  ])
})
