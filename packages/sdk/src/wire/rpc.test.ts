import { create, toBinary } from '@bufbuild/protobuf'
import { ErrorDetailSchema, GetSandboxResponseSchema, SandboxService } from '@cove/api'
import { CoveError } from '@cove/domain'
import { describe, expect, it } from 'vitest'
import { InstantClock } from '../../test/support/instant-clock.ts'
import { ScriptedServer, type Answer } from '../../test/support/scripted-server.ts'
import { envelope } from './envelope.ts'
import { DEFAULT_RETRY } from './retry.ts'
import { Rpc } from './rpc.ts'

const BASE = new URL('http://127.0.0.1:8080')
const found: Answer = {
  body: [toBinary(GetSandboxResponseSchema, create(GetSandboxResponseSchema, { sandbox: { id: 'x' } }))],
}
const lost = new CoveError('connection-lost', 'cut')
const refused = new CoveError('daemon-not-running', 'not there')
const { getSandbox, deleteSandbox, createSandbox, watchSandboxes } = SandboxService.method

function open(server: ScriptedServer) {
  const clock = new InstantClock()
  return {
    clock,
    rpc: new Rpc({
      base: BASE,
      send: server.send,
      apiKey: 'cove_secret',
      policy: DEFAULT_RETRY,
      parts: { clock, chance: () => 0.5 },
    }),
  }
}

describe('a call', () => {
  it('is one POST with the key on it', async () => {
    const server = new ScriptedServer(found)
    const answer = await open(server).rpc.unary(getSandbox, { id: 'x' })
    expect(answer.sandbox?.id).toBe('x')
    expect(server.requests[0]).toMatchObject({
      method: 'POST',
      path: '/cove.v1.SandboxService/GetSandbox',
      headers: { authorization: 'Bearer cove_secret', 'content-type': 'application/proto' },
    })
  })

  it('is made again after a lost connection when that changes nothing, with longer and longer pauses', async () => {
    const { rpc, clock } = open(new ScriptedServer(lost, lost, lost, found))
    await rpc.unary(getSandbox, { id: 'x' })
    expect(clock.slept).toEqual([75, 150, 300])
  })

  it('is not made again after a lost connection when it may have happened', async () => {
    const server = new ScriptedServer(lost, found)
    await expect(open(server).rpc.unary(deleteSandbox, { id: 'x' })).rejects.toMatchObject({ code: 'connection-lost' })
    expect(server.requests).toHaveLength(1)
  })

  it('is made again in any case when it was never sent', async () => {
    const server = new ScriptedServer(refused, found)
    await open(server).rpc.unary(createSandbox, {})
    expect(server.requests).toHaveLength(2)
  })

  it('says so when something else than Cove answers', async () => {
    const page: Answer = { headers: { 'content-type': 'text/html; charset=utf-8' }, body: [Buffer.from('<html>')] }
    const { rpc } = open(new ScriptedServer(page, page))
    const error = { code: 'unsupported', message: expect.stringContaining('is not Cove') }
    await expect(rpc.unary(getSandbox, { id: 'x' })).rejects.toMatchObject(error)
    await expect(rpc.stream(watchSandboxes, {}).next()).rejects.toMatchObject(error)
  })

  it('gives up after its tries, with the last error', async () => {
    const server = new ScriptedServer(...Array.from({ length: 5 }, () => refused))
    await expect(open(server).rpc.unary(getSandbox, { id: 'x' })).rejects.toMatchObject({ code: 'daemon-not-running' })
    expect(server.requests).toHaveLength(5)
  })

  it('waits as long as the server asks for', async () => {
    const busy: Answer = { status: 429, headers: { 'retry-after': '3' } }
    const { rpc, clock } = open(new ScriptedServer(busy, found))
    await rpc.unary(getSandbox, { id: 'x' })
    expect(clock.slept).toEqual([3000])
  })

  it('ends with its signal, and not with a retry', async () => {
    const server = new ScriptedServer(lost)
    const signal = AbortSignal.abort()
    await expect(open(server).rpc.unary(getSandbox, { id: 'x' }, { signal })).rejects.toMatchObject({
      code: 'cancelled',
    })
    expect(server.requests).toHaveLength(1)
  })

  it('throws the error of the server with everything that it says', async () => {
    const detail = toBinary(
      ErrorDetailSchema,
      create(ErrorDetailSchema, { code: 'sandbox-gone', fix: 'make one', context: { id: 'x' }, requestId: 'r7' }),
    )
    const value = Buffer.from(detail).toString('base64')
    const body = { code: 'not_found', message: 'it ended', details: [{ type: 'cove.v1.ErrorDetail', value }] }
    const server = new ScriptedServer({ status: 404, body: [Buffer.from(JSON.stringify(body))] })
    await expect(open(server).rpc.unary(getSandbox, { id: 'x' })).rejects.toMatchObject({
      code: 'sandbox-gone',
      message: 'it ended',
      fix: 'make one',
      context: { id: 'x' },
      requestId: 'r7',
    })
  })

  it.each([
    [401, 'unauthenticated'],
    [404, 'unsupported'],
    [500, 'internal'],
  ])('makes sense of HTTP %d from something that is not Cove', async (status, code) => {
    const server = new ScriptedServer({ status, body: [Buffer.from('<html>')] })
    await expect(open(server).rpc.unary(deleteSandbox, { id: 'x' })).rejects.toMatchObject({ code })
  })

  it('refuses what does not fit its field before anything is sent', async () => {
    const server = new ScriptedServer()
    const call = open(server).rpc.unary(createSandbox, { limits: { processes: -1 } })
    await expect(call).rejects.toMatchObject({ code: 'invalid-argument' })
    expect(server.requests).toHaveLength(0)
  })
})

const end = (json: object): Uint8Array => {
  const bytes = envelope(Buffer.from(JSON.stringify(json)))
  bytes[0] = 2
  return bytes
}

describe('a stream', () => {
  it('ends where the server says so', async () => {
    const server = new ScriptedServer({ body: [envelope(new Uint8Array()), end({})] })
    expect(await Array.fromAsync(open(server).rpc.stream(watchSandboxes, {}))).toHaveLength(1)
  })

  it('throws the error that it ends with', async () => {
    const server = new ScriptedServer({ body: [end({ error: { code: 'unauthenticated', message: 'no' } })] })
    const all = Array.fromAsync(open(server).rpc.stream(watchSandboxes, {}))
    await expect(all).rejects.toMatchObject({ code: 'unauthenticated', message: 'no' })
  })

  it('was lost when it ends without its end', async () => {
    const server = new ScriptedServer({ body: [envelope(new Uint8Array())] })
    const all = Array.fromAsync(open(server).rpc.stream(watchSandboxes, {}))
    await expect(all).rejects.toMatchObject({ code: 'connection-lost' })
  })
})
