import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { breakOff } from './exchange.ts'

const server = createServer({ allowHalfOpen: true })
let near: Socket
let far: Socket

beforeEach(async () => {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const accepted = once(server, 'connection') as Promise<[Socket]>
  far = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true })
  ;[near] = await accepted
})
afterEach(async () => {
  far.destroy()
  near.destroy()
  server.close()
  await once(server, 'close')
})

test('what is broken off in the middle is reset', async () => {
  near.write('half of it')
  await once(far, 'data')
  const failed = once(far, 'error')
  breakOff(near)
  expect(await failed).toMatchObject([{ code: 'ECONNRESET' }])
})

test('what has been sent to its end is closed, and says so', async () => {
  near.end('all of it')
  const closed = once(near, 'close')
  far.resume()
  await once(far, 'end')
  breakOff(near)
  await closed
  expect(near.destroyed).toBe(true)
})
