import { expect, it } from 'vitest'
import { splitLine } from './split-line.ts'

it.each([
  ['cove ls', ['cove', 'ls'], ''],
  ['cove ls ', ['cove', 'ls', ''], ''],
  ['cove  get\t we', ['cove', 'get', 'we'], ''],
  ['cove cp a\\ b web:/x', ['cove', 'cp', 'a b', 'web:/x'], ''],
  ['cove cp "a b', ['cove', 'cp', 'a b'], '"'],
  ["cove cp 'a \\", ['cove', 'cp', 'a \\'], "'"],
  ['cove cp \'a\\b\' "c\\"d" ', ['cove', 'cp', 'a\\b', 'c"d', ''], ''],
  ['', [''], ''],
])('reads %j as a shell does', (line, words, quote) => {
  expect(splitLine(line)).toEqual({ words, quote })
})
