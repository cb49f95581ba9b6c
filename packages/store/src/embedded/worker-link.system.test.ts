import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { expect, it } from 'vitest'
import type { CoveError } from '@cove/domain'
import { WorkerLink } from './worker-link.ts'

const silent = `require('node:worker_threads').parentPort.on('message', () => {})`

it('tells everybody who waits when the worker ends by itself', async () => {
  const failures: CoveError[] = []
  const worker = new Worker(
    `require('node:worker_threads').parentPort.on('message', () => { throw new Error('boom') })`,
    {
      eval: true,
    },
  )
  const link = new WorkerLink(worker, (error) => failures.push(error))
  const asked = [link.ask({ type: 'get', key: 'a' }, 'item'), link.ask({ type: 'get', key: 'b' }, 'item')]
  for (const each of asked) await expect(each).rejects.toMatchObject({ code: 'io-error' })
  await expect(link.ask({ type: 'get', key: 'c' }, 'item')).rejects.toMatchObject({ code: 'io-error' })
  expect(failures).toHaveLength(1)
  expect(failures[0]?.cause).toMatchObject({ message: 'boom' })
  await link.close()
})

it('refuses more calls than it can hold, by number and by bytes, and closes all the same', async () => {
  const worker = new Worker(silent, { eval: true })
  await once(worker, 'online')
  const link = new WorkerLink(worker, () => {})
  const value = new Uint8Array(64 * 1024 * 1024)
  const large = () => link.ask({ type: 'txn', compare: [], ops: [{ type: 'put', key: 'a', value }] }, 'txn')
  const held = [large(), large(), large()]
  await expect(large()).rejects.toMatchObject({ code: 'limit-reached' })
  const small = Array.from({ length: 65_536 - 3 }, () => link.ask({ type: 'get', key: 'a' }, 'item'))
  await expect(link.ask({ type: 'get', key: 'a' }, 'item')).rejects.toMatchObject({ code: 'limit-reached' })
  const closed = link.close()
  const settled = Promise.allSettled([...held, ...small, closed])
  await worker.terminate()
  const codes = new Set((await settled).map((each) => (each.status === 'rejected' ? each.reason.code : 'answered')))
  expect([...codes]).toEqual(['io-error'])
})
