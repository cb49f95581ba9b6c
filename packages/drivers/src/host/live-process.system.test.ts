import { readFile } from 'node:fs/promises'
import { expect, it } from 'vitest'
import { isAlive, liveProcess, memberOf, signalProcess } from './live-process.ts'

it('knows a process by its pid and when it started, and signals no other', async () => {
  const self = await liveProcess(process.pid)
  if (self === undefined) throw new Error('this process is not there')
  expect([await isAlive(self), await signalProcess(self, 0)]).toEqual([true, true])
  const other = { ...self, startTime: self.startTime - 1 }
  expect([await isAlive(other), await signalProcess(other, 'SIGKILL')]).toEqual([false, false])
  expect(await liveProcess(1)).toBeUndefined()
})

it('takes a pid for that of a member only in its group', async () => {
  const groups = (await readFile('/proc/self/cgroup', 'utf8')).trim().split(/[\n/]/)
  const own = groups.findLast((name) => name !== '' && !name.includes(':'))
  const member = own === undefined ? process : await memberOf(own, process.pid)
  expect(member?.pid).toBe(process.pid)
  expect(await memberOf(`${own ?? ''}x`, process.pid)).toBeUndefined()
  expect(await memberOf('', 0)).toBeUndefined()
})
