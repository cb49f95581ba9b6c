import { parseMachineId, type Exit } from '@cove/domain'
import type { HostProcess } from '@cove/runner'
import { expect, it } from 'vitest'
import { hostMachine } from './host-machine.ts'

const KILLED: Exit = { kind: 'signaled', signal: 9 }

it('is ended by force when asking it to end is never answered', { timeout: 5_000 }, async () => {
  const { promise: exited, resolve: end } = Promise.withResolvers<Exit>()
  const process: HostProcess = {
    id: 'box',
    pid: 4_194_303,
    startTime: 1,
    state: 'running',
    note: '',
    cgroupProblems: [],
    exit: undefined,
    exited,
    initPid: () => Promise.resolve(undefined),
    signal: () => Promise.resolve(),
    openPipes: () => Promise.reject(new Error('no pipes')),
    living: () => Promise.resolve(1),
    output: () => Promise.resolve(new Uint8Array()),
  }
  const machine = hostMachine({
    id: parseMachineId('abcdefghijklmnop'),
    limits: [],
    process,
    socket: '/nowhere',
    files: {},
    exitOf: (exit) => Promise.resolve(exit),
    ask: () => Promise.withResolvers<void>().promise,
    force: () => {
      end(KILLED)
      return Promise.resolve()
    },
  })
  expect(await machine.stop(50)).toEqual(KILLED)
})
