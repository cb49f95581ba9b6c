import { once } from 'node:events'
import { connect, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ask, call } from '../../test/support/clients.ts'
import { KEY, OTHER_KEY, openHouse, type House } from '../../test/support/harness.ts'
import { callerOf } from '../../test/support/identity.ts'

let house: House
let base: string
let session: ClientHttp2Session
beforeEach(async () => {
  house = await openHouse({ limits: { callsUnderWay: 3 } })
  base = await house.listen()
  session = connect(base)
})
afterEach(async () => {
  session.destroy()
  await house[Symbol.asyncDispose]()
})

/** A watch over HTTP/2, where one connection carries any number of them, and the status of its answer. */
async function watch(key = KEY): Promise<{ readonly stream: ClientHttp2Stream; readonly status: unknown }> {
  const stream = session.request({
    ':method': 'POST',
    ':path': '/cove.v1.SandboxService/WatchSandboxes',
    authorization: `Bearer ${key}`,
    'content-type': 'application/connect+json',
  })
  stream.end(Buffer.from([0, 0, 0, 0, 2, 123, 125]))
  const [headers] = (await once(stream, 'response')) as [Record<string, unknown>]
  stream.resume()
  return { stream, status: headers[':status'] }
}

const getCaller = (key: string) => call(base, 'IdentityService/GetCaller', {}, { key })

test('a key has only so many calls under way, and others are not held up by it', async () => {
  const { sandbox } = await callerOf(base, KEY).sandboxes.createSandbox({})
  const { token } = await callerOf(base, KEY).identity.createSandboxToken({ sandbox: sandbox?.id ?? '' })
  const streams = [await watch(), await watch(), await watch()]
  expect(streams.map(({ status }) => status)).toEqual([200, 200, 200])
  const refused = await getCaller(KEY)
  expect([refused.status, refused.headers['retry-after']]).toEqual([429, '1'])
  expect((await ask(`${base}/v1/sandboxes/x/files?path=/a`)).json).toMatchObject({ code: 'rate-limited' })
  expect((await ask(`${base}/healthz`)).status).toBe(200)
  for (const key of [OTHER_KEY, token]) expect((await getCaller(key)).status).toBe(200)
  streams[0]?.stream.close()
  await expect.poll(async () => (await getCaller(KEY)).status).toBe(200)
})

test('calls that have ended count no more, however they ended', async () => {
  for (let n = 0; n < 10; n++) {
    expect((await getCaller(KEY)).status).toBe(200)
    expect((await ask(`${base}/v1/sandboxes/x/files?path=/a`)).status).toBe(404)
    const { stream } = await watch()
    stream.destroy()
    await once(stream, 'close')
    await expect.poll(async () => (await getCaller(KEY)).status).toBe(200)
  }
})
