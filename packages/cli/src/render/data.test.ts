import { expect, it } from 'vitest'
import { parse } from 'yaml'
import { dataText, streamText } from './data.ts'

const value = { id: 'a', at: new Date(0), nested: [{ text: 'yes', number: 1 }], empty: {}, long: 'word '.repeat(60) }

it('has the same fields in both formats', async () => {
  const json: unknown = JSON.parse(await dataText('json', value))
  expect(parse(await dataText('yaml', value))).toEqual(json)
  expect(json).toMatchObject({ at: '1970-01-01T00:00:00.000Z', nested: [{ text: 'yes', number: 1 }] })
})

it('writes YAML that readers of YAML 1.1 understand the same way', async () => {
  const texts = ['no', 'Yes', 'on', 'off', '~', '12:30:45', '0o17', '017', '1_000', '1e3', '2026-01-01', '=', '<<', '']
  const labels = Object.fromEntries(texts.map((text) => [text, text]))
  const text = await dataText('yaml', { labels })
  for (const version of ['1.1', '1.2'] as const) expect(parse(text, { version })).toEqual({ labels })
})

it.each(['json', 'yaml'] as const)('lets nothing in %s reach the terminal but text', async (format) => {
  const evil = { text: 'a\u001B[2J\u009B31m\u007Fb' }
  for (const text of [await dataText(format, evil), await streamText(format, evil)]) {
    // eslint-disable-next-line no-control-regex -- these characters are the point
    expect(text).not.toMatch(/[\u0000-\u0009\u000B-\u001F\u007F-\u009F]/)
    expect(parse(text)).toEqual(evil)
  }
})

it('streams a line of JSON, or a document of YAML, for each', async () => {
  expect(await streamText('json', { a: [1] })).toBe('{"a":[1]}\n')
  expect(await streamText('yaml', { a: [1] })).toBe('---\na:\n  - 1\n')
})
