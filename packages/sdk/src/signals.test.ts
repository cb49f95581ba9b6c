import { expect, it } from 'vitest'
import { signalName, signalNumber } from './signals.ts'

it.each([
  ['TERM', 15],
  ['SIGKILL', 9],
  ['hup', 1],
  [2, 2],
  ['64', 64],
])('reads %s as %d', (signal, number) => expect(signalNumber(signal)).toBe(number))

it.each(['', 'NOPE', 0, 65, -1, 1.5, '9 ', 'SIG', 'toString'])('refuses %j', (signal) => {
  expect(() => signalNumber(signal)).toThrow(expect.objectContaining({ code: 'invalid-argument' }))
})

it('names what has a name', () => {
  expect([signalName(15), signalName(40)]).toEqual(['TERM', '40'])
})
