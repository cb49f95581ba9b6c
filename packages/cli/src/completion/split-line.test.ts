import { expect, it } from 'vitest'
import { splitLine } from './split-line.ts'

it.each([
  ['cove ls', ['cove', 'ls'], false],
  ['cove ls ', ['cove', 'ls', ''], false],
  ['cove  get\t we', ['cove', 'get', 'we'], false],
  ['cove cp a\\ b web:/x', ['cove', 'cp', 'a b', 'web:/x'], false],
  ['cove cp "a b', ['cove', 'cp', 'a b'], true],
  ['cove cp \'a\\b\' "c\\"d" ', ['cove', 'cp', 'a\\b', 'c"d', ''], false],
  ['', [''], false],
])('reads %j as a shell does', (line, words, quoted) => {
  expect(splitLine(line)).toEqual({ words, quoted })
})
