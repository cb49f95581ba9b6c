import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { expect, test } from 'vitest'
import { findFreePort, isPortFree, waitForPortBound, waitForPortUnbound } from './ports.ts'

async function listen(port: number): Promise<Server & AsyncDisposable> {
  const server = createServer((socket) => socket.destroy())
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return Object.assign(server, {
    async [Symbol.asyncDispose]() {
      if (!server.listening) return
      server.close()
      await once(server, 'close')
    },
  })
}

test('a free port is free until somebody listens on it, and again when it is let go', async () => {
  const port = await findFreePort()
  expect(await isPortFree(port)).toBe(true)
  const bound = waitForPortBound(port)
  const server = await listen(port)
  await bound
  expect(await isPortFree(port)).toBe(false)
  const unbound = waitForPortUnbound(port)
  await server[Symbol.asyncDispose]()
  await unbound
})

test('waiting ends at its time, and when it is told to', async () => {
  const port = await findFreePort()
  await expect(waitForPortBound(port, { timeoutMs: 60 })).rejects.toMatchObject({ code: 'deadline-exceeded' })
  await using _server = await listen(port)
  await expect(waitForPortUnbound(port, { timeoutMs: 60 })).rejects.toMatchObject({ code: 'deadline-exceeded' })
  const controller = new AbortController()
  const waiting = waitForPortUnbound(port, { signal: controller.signal })
  controller.abort()
  await expect(waiting).rejects.toMatchObject({ code: 'cancelled' })
})

test.each([0, -1, 65_536, 1.5, Number.NaN])('%d is no port', async (port) => {
  await expect(isPortFree(port)).rejects.toMatchObject({ code: 'invalid-argument' })
  await expect(waitForPortBound(port)).rejects.toMatchObject({ code: 'invalid-argument' })
})
