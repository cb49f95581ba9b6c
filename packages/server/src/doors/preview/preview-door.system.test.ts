import { CoveError } from '@cove/domain'
import { systemClock } from '@cove/domain/system'
import { MemoryStore } from '@cove/store'
import { expect, test } from 'vitest'
import { ask, call } from '../../../test/support/clients.ts'
import { ANSWER, serveGuest } from '../../../test/support/guest-server.ts'
import { StubNode } from '../../../test/support/stub-node.ts'
import { OTHER_KEY, openHouse } from '../../../test/support/harness.ts'

async function create(base: string, body: object = {}): Promise<string> {
  const { json } = await call(base, 'SandboxService/CreateSandbox', body)
  return (json['sandbox'] as { id: string }).id
}

test('behind a proxy with TLS, addresses and cookies are those of the outside', async () => {
  await using house = await openHouse({
    previewDomain: 'preview.example.com',
    publicUrl: 'https://cove.example.com:8443',
  })
  const base = await house.listen()
  const id = await create(base)
  using server = await serveGuest(house, id)
  const { json } = await call(base, 'PortService/CreatePreviewUrl', { sandbox: id, port: 3000, path: '/x?y=1' })
  const url = new URL(String(json['url']))
  expect(url.origin).toBe(`https://3000-${id}.preview.example.com:8443`)
  const host = `3000-${id}.preview.example.com:8443`
  const first = await ask(base + url.pathname + url.search, { key: null, headers: { host } })
  expect(first.status).toBe(303)
  expect(first.headers.location).toBe(`${url.origin}/x?y=1`)
  const [cookie = ''] = first.headers['set-cookie'] ?? []
  expect(cookie).toMatch(/^__Host-cove-preview=\S+; Path=\/; Max-Age=\d+; HttpOnly; SameSite=Lax; Secure$/)
  const headers = { host, cookie: cookie.split(';')[0] ?? '', 'x-forwarded-for': '10.1.1.1' }
  expect((await ask(`${base}/x`, { key: null, headers })).status).toBe(200)
  expect(server.heard.at(-1)).toContain('x-forwarded-for: 10.1.1.1, 127.0.0.1\r\n')
  expect(server.heard.at(-1)).toContain('x-forwarded-proto: https\r\n')
  expect(server.heard.at(-1)).not.toContain('cookie')
})

test('a sandbox that is being made asks for patience, one that failed says why', async () => {
  await using house = await openHouse()
  const base = await house.listen()
  const gate = Promise.withResolvers<void>()
  const reached = Promise.withResolvers<string>()
  house.node.onCreate = ({ spec }) => {
    reached.resolve(spec.id)
    return gate.promise
  }
  const making = call(base, 'SandboxService/CreateSandbox', {})
  const id = await reached.promise
  const starting = await ask(base, { headers: { host: `3000-${id}.localhost`, accept: 'text/html' } })
  expect([starting.status, starting.headers['retry-after']]).toEqual([503, '2'])
  expect(String(starting.body)).toContain('This sandbox is starting')
  gate.reject(new Error('the disk is <b>full</b>'))
  await making
  const failed = await ask(base, { headers: { host: `3000-${id}.localhost`, accept: 'text/html' } })
  expect(failed.status).toBe(410)
  expect(String(failed.body)).toContain('This sandbox has')
  expect(String(failed.body)).not.toContain('<b>')
})

test('strangers on a public port are told that the sandbox has failed, and not what the host said of it', async () => {
  await using house = await openHouse()
  const base = await house.listen()
  const gate = Promise.withResolvers<void>()
  const reached = Promise.withResolvers<string>()
  house.node.onCreate = ({ spec }) => {
    reached.resolve(spec.id)
    return gate.promise
  }
  const making = call(base, 'SandboxService/CreateSandbox', {})
  const id = await reached.promise
  await call(base, 'PortService/SharePort', { sandbox: id, port: 3000, public: true })
  gate.reject(new CoveError('driver-failed', 'no room in /secret/path'))
  await making
  const answer = async (port: number, key?: null) =>
    String((await ask(base, { ...(key === null ? { key } : {}), headers: { host: `${port}-${id}.localhost` } })).body)
  expect(await answer(3001)).toContain('/secret/path')
  expect(await answer(3000, null)).toContain('sandbox-gone')
  expect(await answer(3000, null)).not.toContain('/secret/path')
})

test('a connection that the server has closed costs the next request nothing', async () => {
  await using house = await openHouse()
  const base = await house.listen()
  const id = await create(base)
  let closing = false
  using server = await serveGuest(house, id, () => (closing ? '' : ANSWER))
  const headers = { host: `3000-${id}.localhost` }
  expect(String((await ask(base, { headers })).body)).toBe('ok')
  expect(String((await ask(base, { headers })).body)).toBe('ok')
  expect(server.dialled).toBe(1)
  // The next question gets no answer, only an end; a fresh connection then answers.
  closing = true
  const asking = ask(base, { headers })
  await expect.poll(() => server.heard.length).toBe(3)
  closing = false
  server.cut()
  expect(String((await asking).body)).toBe('ok')
  expect(server.dialled).toBe(2)
})

test('too many connections to one sandbox are refused, others go on', async () => {
  await using house = await openHouse()
  const base = await house.listen()
  const id = await create(base)
  using _server = await serveGuest(house, id, '')
  const headers = { host: `3000-${id}.localhost` }
  const hanging = Array.from({ length: 512 }, () => ask(base, { headers }).catch(() => undefined))
  await expect.poll(async () => String((await ask(`${base}/metrics`)).body)).toContain('cove_port_connections 512')
  const refused = await ask(base, { headers })
  expect([refused.status, refused.headers['retry-after']]).toEqual([503, '1'])
  await call(base, 'SandboxService/DeleteSandbox', { id })
  await Promise.all(hanging)
  expect(String((await ask(`${base}/metrics`)).body)).toContain('cove_port_connections 0')
})

test('tokens and roles: a viewer looks, another project does not', async () => {
  await using house = await openHouse()
  const base = await house.listen()
  const id = await create(base)
  using _server = await serveGuest(house, id)
  const asked = { key: OTHER_KEY, headers: { host: `3000-${id}.localhost` } }
  expect((await ask(base, asked)).status).toBe(404)
  const shared = { sandbox: id, port: 3000, public: true }
  expect((await call(base, 'PortService/SharePort', shared)).status).toBe(200)
  expect((await ask(base, asked)).status).toBe(200)
})

test('what one server shares is public at every other, until its sandbox ends', async () => {
  const store = new MemoryStore({ clock: systemClock })
  const node = new StubNode()
  await using one = await openHouse({ store, node })
  await using two = await openHouse({ store, node })
  const [here, there] = [await one.listen(), await two.listen()]
  const id = await create(here)
  using _server = await serveGuest(one, id)
  const asked = { key: null, headers: { host: `3000-${id}.localhost` } }
  expect((await ask(there, asked)).status).toBe(401)
  await call(here, 'PortService/SharePort', { sandbox: id, port: 3000, public: true })
  await expect.poll(async () => (await ask(there, asked)).status).toBe(200)
  await call(here, 'PortService/UnsharePort', { sandbox: id, port: 3000 })
  await expect.poll(async () => (await ask(there, asked)).status).toBe(401)
  await call(there, 'PortService/SharePort', { sandbox: id, port: 3000, public: true })
  await call(here, 'SandboxService/DeleteSandbox', { id })
  await expect.poll(async () => (await ask(there, asked)).status).toBe(401)
  await expect.poll(async () => (await store.range({ prefix: 'port/public/' })).items).toEqual([])
})

test('what was shared of a sandbox that ended while no server ran is forgotten at the next start', async () => {
  const store = new MemoryStore({ clock: systemClock })
  for (let port = 1; port <= 200; port++) {
    await store.txn([], [{ type: 'put', key: `port/public/abcdefghijklmnop/${port}`, value: new Uint8Array() }])
  }
  await using _house = await openHouse({ store })
  await expect.poll(async () => (await store.range({ prefix: 'port/public/' })).items).toEqual([])
})

test('a sandbox has so many public ports and no more', async () => {
  await using house = await openHouse()
  const base = await house.listen()
  const id = await create(base)
  house.node.stub(id).files.set('/proc/net/tcp', Buffer.from(''))
  const share = async (port: number) =>
    (await call(base, 'PortService/SharePort', { sandbox: id, port, public: true })).status
  const statuses = await Promise.all(Array.from({ length: 80 }, (_, at) => share(at + 1)))
  expect(statuses.filter((status) => status === 200)).toHaveLength(64)
  expect(await share(81)).toBe(429)
})
