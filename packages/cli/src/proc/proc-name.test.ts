import { expect, it } from 'vitest'
import { checkProcName, nameAfter } from './proc-name.ts'

it.each(['a', '0', 'web', 'web-2', 'a'.repeat(50)])('%s names a process', (name) => {
  expect(checkProcName(name)).toBe(name)
})

it.each(['', '-', 'a-', '-a', 'A', 'a.b', 'a/b', '..', 'a_b', 'a'.repeat(51), 'a\n'])('%j does not', (name) => {
  expect(() => checkProcName(name)).toThrow(expect.objectContaining({ code: 'invalid-argument' }))
})

it.each([
  ['/usr/bin/Python3.11', 'python3-11'],
  ['./server.js', 'server'],
  ['my_tool.sh', 'my-tool'],
  ['...', 'proc'],
  ['ü', 'proc'],
  [`/${'x'.repeat(70)}`, 'x'.repeat(40)],
])('after %s it is called %s', (program, name) => {
  expect(nameAfter(program, () => false)).toBe(name)
  expect(checkProcName(name)).toBe(name)
})

it('takes a number where a name is taken', () => {
  expect(nameAfter('node', (name) => ['node', 'node-2'].includes(name))).toBe('node-3')
})
