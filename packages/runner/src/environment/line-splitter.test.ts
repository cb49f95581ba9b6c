import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Line } from './line.ts'
import { LineSplitter } from './line-splitter.ts'

const split = (chunks: readonly Buffer[], longest?: number): Line[] => {
  const splitter = new LineSplitter('stdout', longest)
  // One buffer for all, as a reader uses it.
  const shared = Buffer.alloc(1_000_000)
  const lines = chunks.flatMap((chunk) => {
    chunk.copy(shared)
    return splitter.push(shared.subarray(0, chunk.length))
  })
  return [...lines, ...splitter.end()]
}

const cut = (bytes: Buffer, sizes: readonly number[]): Buffer[] => {
  const chunks: Buffer[] = []
  let rest = bytes
  for (const size of sizes) {
    chunks.push(rest.subarray(0, size))
    rest = rest.subarray(size)
  }
  return [...chunks, rest]
}

const sizes = fc.array(fc.nat(40), { maxLength: 60 })

test('however the bytes arrive, the lines are the same', () => {
  const text = fc.array(fc.string({ unit: 'grapheme' }).map((line) => line.replaceAll('\n', '')))
  fc.assert(
    fc.property(text, fc.boolean(), sizes, (lines, ended, cuts) => {
      const bytes = Buffer.from(lines.join('\n') + (ended ? '\n' : ''))
      const wanted = bytes.toString().split('\n')
      if (wanted.at(-1) === '') wanted.pop()
      expect(split(cut(bytes, cuts)).map((line) => line.text)).toEqual(wanted)
    }),
  )
})

test('whatever the bytes are, nothing is lost and the pieces of a long line are marked', () => {
  const texts = fc.string({ unit: fc.constantFrom('a', 'ß', '€', '😀', '\n') })
  fc.assert(
    fc.property(texts, sizes, fc.integer({ min: 4, max: 30 }), (text, cuts, longest) => {
      const lines = split(cut(Buffer.from(text), cuts), longest)
      const joined = lines.map((line) => line.text + (line.continued ? '' : '\n')).join('')
      expect(joined).toBe(text === '' || text.endsWith('\n') ? text : `${text}\n`)
      for (const line of lines) {
        const bytes = Buffer.byteLength(line.text)
        expect(bytes).toBeLessThanOrEqual(longest)
        // As much as fits, but for a character that would be cut.
        expect(line.continued ? bytes : longest).toBeGreaterThan(longest - 4)
      }
    }),
  )
})

test('bytes that are no text pass as marks, and never stop the stream', () => {
  fc.assert(
    fc.property(fc.uint8Array(), sizes, (bytes, cuts) => {
      const all = Buffer.from(bytes)
      const wanted = all.toString('utf8').split('\n')
      if (wanted.at(-1) === '') wanted.pop()
      expect(split(cut(all, cuts)).map((line) => line.text)).toEqual(wanted)
    }),
  )
})

test('a reader that comes late begins with a whole line', () => {
  const splitter = new LineSplitter('stderr')
  splitter.skip(Buffer.from('gone\nhalf a '))
  splitter.skip(Buffer.from('li'))
  expect(splitter.push(Buffer.from('ne\nnext'))).toEqual([{ stream: 'stderr', text: 'half a line', continued: false }])
  expect(splitter.end()).toEqual([{ stream: 'stderr', text: 'next', continued: false }])
})

test('a chunk that is larger than a line may be is cut too', () => {
  const lines = split([Buffer.alloc(900_000, 'x'), Buffer.from('\nend')], 300_000)
  expect(lines.map((line) => [line.text.length, line.continued])).toEqual([
    [300_000, true],
    [300_000, true],
    [300_000, false],
    [3, false],
  ])
})
