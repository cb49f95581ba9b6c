import { expect, it } from 'vitest'
import { exitOf } from './exit-of.ts'

const plain = { outOfMemory: false, killed: false }

it('tells codes as codes, signals as signals, and makes nothing up', () => {
  expect(exitOf({ ...plain, exitCode: 0 })).toEqual({ kind: 'exited', code: 0 })
  expect(exitOf({ ...plain, exitCode: 128 })).toEqual({ kind: 'exited', code: 128 })
  expect(exitOf({ ...plain, exitCode: 137 })).toEqual({ kind: 'signaled', signal: 9 })
  expect(exitOf({ ...plain, exitCode: 143 })).toEqual({ kind: 'signaled', signal: 15 })
  for (const exitCode of [undefined, -1, 193, 255, 4294967295]) {
    expect(exitOf({ ...plain, exitCode })).toEqual({ kind: 'lost' })
  }
})

it('tells memory only where nobody has asked for the kill', () => {
  const ending = { exitCode: 137, outOfMemory: true }
  expect(exitOf({ ...ending, killed: false })).toEqual({ kind: 'out-of-memory' })
  expect(exitOf({ ...ending, killed: true })).toEqual({ kind: 'signaled', signal: 9 })
  // Something else in the machine ran out of memory, and it ended well later.
  expect(exitOf({ ...ending, exitCode: 0, killed: false })).toEqual({ kind: 'exited', code: 0 })
})
