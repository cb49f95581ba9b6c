import { expect, test } from 'vitest'
import { checkVariables, checkWords, mergeEnvironment } from './environment-layers.ts'

const none = { base: {}, environment: {}, process: {}, appended: [], binaryFolders: [] }

test('later layers go before earlier ones', () => {
  const merged = mergeEnvironment({
    ...none,
    base: { A: 'base', B: 'base', C: 'base', GONE: undefined },
    environment: { B: 'environment', C: 'environment' },
    process: { C: 'process', D: '' },
  })
  expect(merged).toEqual({ A: 'base', B: 'environment', C: 'process', D: '' })
})

test('what is appended goes behind whatever the variable has by then', () => {
  const appended = [
    { name: 'A', value: '1', separator: ':' },
    { name: 'A', value: '2', separator: ';' },
    { name: 'NEW', value: 'x', separator: ':' },
    { name: 'EMPTY', value: 'x', separator: ':' },
  ]
  const layers = { ...none, base: { A: 'base' }, environment: { A: '0', EMPTY: '' }, appended }
  expect(mergeEnvironment(layers)).toEqual({ A: '0:1;2', NEW: 'x', EMPTY: 'x' })
})

test('folders of binaries stand in front of the PATH, whatever it is, and never replace it', () => {
  const binaryFolders = ['/first', '/second']
  const path = (base: Record<string, string>, process: Record<string, string> = {}): string | undefined =>
    mergeEnvironment({ ...none, base, process, binaryFolders })['PATH']
  expect(path({ PATH: '/bin' })).toBe('/second:/first:/bin')
  expect(path({ PATH: '/bin' }, { PATH: '/mine' })).toBe('/second:/first:/mine')
  expect(path({})).toMatch(/^\/second:\/first:.*:\/usr\/bin:/)
})

test('what no process could be given is refused', () => {
  for (const variables of [{ '': 'x' }, { 'A=B': 'x' }, { 'A\0': 'x' }, { A: '\0' }]) {
    expect(() => checkVariables(variables)).toThrow(expect.objectContaining({ code: 'invalid-argument' }))
  }
  for (const words of [[''], ['a', 'b\0']]) {
    expect(() => checkWords(words)).toThrow(expect.objectContaining({ code: 'invalid-argument' }))
  }
  checkVariables({ A: '=\n', 'with space': '' })
  checkWords(['a', ''])
})
