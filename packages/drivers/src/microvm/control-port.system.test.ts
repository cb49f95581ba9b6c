import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { once } from 'node:events'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { connectSocket } from '../host/connect-socket.ts'
import { ControlPort } from './control-port.ts'

let folder = ''
let server: Server
let heard = ''
let answer: (line: string, socket: Socket) => void
const later = () => AbortSignal.timeout(10_000)

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cove-test-'))
  heard = ''
  answer = () => undefined
  server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.on('data', (chunk) => {
      heard += chunk.toString()
      answer(chunk.toString(), socket)
    })
  }).listen(join(folder, 'c'))
  await once(server, 'listening')
})
afterEach(async () => {
  server.close()
  await rm(folder, { recursive: true })
})

const port = () => new ControlPort((signal) => connectSocket(join(folder, 'c'), signal))

it('waits until an order is carried out, whatever is said besides', async () => {
  answer = (_, socket) => socket.write('ready\nsomething\nok\n')
  await port().ask('identity x', later())
  expect(heard).toBe('identity x\n')
})

it('tells why an order is not carried out', async () => {
  answer = (_, socket) => socket.write('error no \u0007such thing\n')
  await expect(port().ask('identity x', later())).rejects.toMatchObject({
    code: 'driver-failed',
    message: expect.stringContaining('no ?such thing') as string,
  })
  answer = (_, socket) => socket.write('x'.repeat(100_000))
  await expect(port().ask('identity x', later())).rejects.toMatchObject({ code: 'driver-failed' })
  answer = (_, socket) => socket.destroy()
  await expect(port().ask('identity x', later())).rejects.toMatchObject({ code: 'guest-unreachable' })
  answer = () => undefined
  await expect(port().ask('identity x', AbortSignal.timeout(20))).rejects.toMatchObject({ code: 'deadline-exceeded' })
})

it('repeats an order to end until that has happened', async () => {
  const { promise: ended, resolve: end } = Promise.withResolvers<void>()
  const { promise: closed, resolve: close } = Promise.withResolvers<void>()
  answer = (_, socket) => {
    if (heard !== 'stop\nstop\n') return
    socket.on('close', () => close())
    end()
  }
  await port().tell('stop', ended, later())
  // What is not referenced does not keep the test.
  const awake = setInterval(() => undefined, 1_000)
  await closed
  clearInterval(awake)
  expect(heard).toBe('stop\nstop\n')
})

it('has nobody to tell where nobody listens', async () => {
  const deaf = new ControlPort((signal) => connectSocket(join(folder, 'none'), signal))
  await deaf.tell('stop', Promise.resolve(), later())
  await expect(deaf.ask('stop', later())).rejects.toMatchObject({ code: 'guest-unreachable' })
})
