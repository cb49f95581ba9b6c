import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Role, SignFileUrlRequest_Operation as Operation } from '@cove/api'
import type { Log } from '@cove/domain'
import { systemClock } from '@cove/domain/system'
import { MemoryStore } from '@cove/store'
import { PROTOCOLS, ask, call } from '../../test/support/clients.ts'
import { KEY, OTHER_KEY, openHouse, type House } from '../../test/support/harness.ts'
import { callerOf, makeKey, outcome, type Caller } from '../../test/support/identity.ts'
import type { AuditRecord } from './audit-trail.ts'
import { MemoryAudit } from './memory-audit.ts'

let audit: MemoryAudit
let store: MemoryStore
let house: House
let base: string
let operator: Caller
let logged: string

beforeEach(async () => {
  audit = new MemoryAudit()
  store = new MemoryStore({ clock: systemClock })
  logged = ''
  const write = (message: string, fields?: object): void => void (logged += `${message} ${JSON.stringify(fields)}\n`)
  const log: Log = { debug: write, info: write, warn: write, error: write, child: () => log }
  house = await openHouse({ audit, log, store })
  base = await house.listen()
  operator = callerOf(base, KEY)
})
afterEach(() => house[Symbol.asyncDispose]())

const all = async (): Promise<readonly AuditRecord[]> => (await audit.list({ failed: false, size: 1_000 })).records
const actions = async () => (await all()).map(({ action, outcome: how }) => `${action} ${how}`).toReversed()

describe('what changes something', () => {
  test.each(PROTOCOLS)('over %s is written down: who, what, of what, from where, how it ended', async (protocol) => {
    const { id, secret } = await makeKey(operator, { role: Role.MEMBER })
    const member = callerOf(base, secret, protocol)
    const { sandbox } = await member.sandboxes.createSandbox({ name: 'box' })
    await member.files.makeDirectory({ sandbox: 'box', path: '/work' })
    await outcome(member.processes.runProcess({ sandbox: 'box', command: { argv: ['nope'] } }))
    await member.sandboxes.getSandbox({ id: 'box' })
    await member.sandboxes.listSandboxes({})
    await member.sandboxes.deleteSandbox({ id: 'box' })
    await outcome(member.sandboxes.deleteSandbox({ id: 'box2' }))
    const records = (await all()).toReversed().slice(1)
    const common = { project: 'default', key: id, role: 'member', from: expect.stringContaining('127.0.0.1') }
    const box = sandbox?.id
    expect(records).toMatchObject([
      { ...common, action: 'SandboxService/CreateSandbox', target: box, outcome: 'ok', details: { name: 'box' } },
      { ...common, action: 'FileService/MakeDirectory', target: box, outcome: 'ok', details: { path: '/work' } },
      { ...common, action: 'ProcessService/RunProcess', target: box, outcome: 'command-not-found', details: {} },
      { ...common, action: 'SandboxService/DeleteSandbox', target: box, outcome: 'ok' },
      { ...common, action: 'SandboxService/DeleteSandbox', target: 'box2', outcome: 'sandbox-not-found' },
    ])
    for (const { requestId, at } of records) {
      expect(requestId).toMatch(/^[a-z2-7]{16}$/)
      expect(Math.abs(at - Date.now())).toBeLessThan(60_000)
    }
  })

  test('over the plain paths too', async () => {
    await operator.sandboxes.createSandbox({ name: 'box' })
    await ask(`${base}/v1/sandboxes/box/files?path=/a`, { method: 'PUT', body: 'x' })
    await ask(`${base}/v1/sandboxes/box/files?path=relative`, { method: 'PUT', body: 'x' })
    await ask(`${base}/v1/sandboxes/box/files?path=/a`)
    const headers = { 'content-type': 'application/json' }
    const start = (argv: string[]) =>
      ask(`${base}/v1/sandboxes/box/processes`, {
        method: 'POST',
        headers,
        body: JSON.stringify({ command: { argv } }),
      })
    await start(['true'])
    await start(['nope'])
    expect((await actions()).slice(1)).toEqual([
      'files/put ok',
      'files/put path-invalid',
      'processes/start ok',
      'processes/start command-not-found',
    ])
  })

  test('and was refused is written down, with who tried', async () => {
    await operator.sandboxes.createSandbox({ name: 'box' })
    const { id, secret } = await makeKey(operator, { role: Role.VIEWER })
    const viewer = callerOf(base, secret)
    await outcome(viewer.sandboxes.deleteSandbox({ id: 'box' }))
    await outcome(makeKey(viewer, { role: Role.ADMIN }))
    await ask(`${base}/v1/sandboxes/box/files?path=/a`, { method: 'PUT', body: 'x', key: secret })
    await call(base, 'SandboxService/CreateSandbox', {}, { key: 'cove_wrong' })
    const [wrong, ...refused] = await all()
    expect(wrong).toMatchObject({
      key: '',
      outcome: 'unauthenticated',
      details: { path: '/cove.v1.SandboxService/CreateSandbox' },
    })
    expect(refused.slice(0, 3)).toMatchObject([
      { key: id, role: 'viewer', action: 'files/put', outcome: 'permission-denied' },
      {
        key: id,
        role: 'viewer',
        action: 'IdentityService/CreateKey',
        outcome: 'permission-denied',
        details: { role: 'admin' },
      },
      { key: id, role: 'viewer', action: 'SandboxService/DeleteSandbox', outcome: 'permission-denied' },
    ])
  })

  test.each(PROTOCOLS)('by a command over %s is in the log when it has begun, however it ends', async (protocol) => {
    await operator.sandboxes.createSandbox({ name: 'box' })
    const { id, secret } = await makeKey(operator, { role: Role.MEMBER })
    const run = outcome(
      callerOf(base, secret, protocol).processes.runProcess({ sandbox: 'box', command: { argv: ['sleep'] } }),
    )
    await expect.poll(async () => (await actions()).at(-1)).toBe('ProcessService/RunProcess ok')
    await operator.identity.revokeKey({ id })
    expect(await run).toBe('unauthenticated')
    expect((await actions()).slice(-2)).toEqual(['ProcessService/RunProcess ok', 'IdentityService/RevokeKey ok'])
  })

  test('and was refused a thousand times does not push out what was done', async () => {
    const { id, secret } = await makeKey(operator, { role: Role.VIEWER })
    const viewer = callerOf(base, secret)
    for (let n = 0; n < 300; n++) await outcome(viewer.sandboxes.deleteSandbox({ id: `box${n}` }))
    const refused = (await all()).filter(({ key }) => key === id)
    expect(refused.length).toBeGreaterThanOrEqual(100)
    expect(refused.length).toBeLessThan(200)
    await operator.sandboxes.createSandbox({ name: 'box' })
    expect((await actions()).at(-1)).toBe('SandboxService/CreateSandbox ok')
  })

  test('is in the log before the answer', async () => {
    const before = (await all()).length
    await operator.sandboxes.createSandbox({})
    expect((await all()).length).toBe(before + 1)
  })
})

/** The names of the sandboxes that were created, as a caller reads them. */
const named = async (caller: Caller, project = '') =>
  (await caller.identity.listAuditEvents({ project, action: 'SandboxService/' })).events.map(
    ({ details }) => details['name'],
  )

describe('the log', () => {
  test('is read by admins, each of their own project, and by the operator of all', async () => {
    await operator.identity.createProject({ name: 'team' })
    const admin = callerOf(base, (await makeKey(operator, { project: 'team', role: Role.ADMIN })).secret)
    await admin.sandboxes.createSandbox({ name: 'theirs' })
    await operator.sandboxes.createSandbox({ name: 'mine' })
    expect(await named(admin)).toEqual(['theirs'])
    expect(await named(operator)).toEqual(['mine'])
    expect(await named(operator, 'team')).toEqual(['theirs'])
    expect(await named(operator, '*')).toEqual(['mine', 'theirs'])
    for (const project of ['*', 'default']) {
      expect(await outcome(admin.identity.listAuditEvents({ project }))).toBe('permission-denied')
    }
    const other = callerOf(base, OTHER_KEY)
    expect((await other.identity.listAuditEvents({})).events).toEqual([])
  })

  test('comes in pages, newest first', async () => {
    for (let n = 0; n < 7; n++) await operator.sandboxes.createSandbox({ name: `box-${n}` })
    const seen: (string | undefined)[] = []
    let pageToken = ''
    do {
      const page = await operator.identity.listAuditEvents({ pageSize: 3, pageToken })
      expect(page.events.length).toBeLessThanOrEqual(3)
      seen.push(...page.events.map(({ details }) => details['name']))
      pageToken = page.nextPageToken
    } while (pageToken !== '')
    expect(seen).toEqual([6, 5, 4, 3, 2, 1, 0].map((n) => `box-${n}`))
    expect(await outcome(operator.identity.listAuditEvents({ pageSize: 1_001 }))).toBe('invalid-argument')
    expect(await outcome(operator.identity.listAuditEvents({ pageToken: '!' }))).toBe('invalid-argument')
  })
})

test('no secret of a whole story is in the log, the audit log or the store', async () => {
  const secrets = ['hush-env', 'hush-stdin', 'hush-argv', 'hush-content', KEY.slice(5), 'cove_wrong-hush']
  const admin = await makeKey(operator, { role: Role.ADMIN, name: 'ci' })
  secrets.push(admin.secret.slice(11))
  const caller = callerOf(base, admin.secret)
  const member = await makeKey(caller)
  secrets.push(member.secret.slice(11))
  await caller.sandboxes.createSandbox({ name: 'box' })
  const { token } = await caller.identity.createSandboxToken({ sandbox: 'box' })
  secrets.push(token.slice(-43))
  const agent = callerOf(base, token)
  const command = { argv: ['cat', 'hush-argv'], env: { TOKEN: 'hush-env' } }
  await outcome(agent.processes.runProcess({ sandbox: 'box', command, stdin: Buffer.from('hush-stdin') }))
  await outcome(agent.processes.runProcess({ sandbox: 'box', command: { argv: ['nope', 'hush-argv'] } }))
  const { path } = await agent.files.signFileUrl({ sandbox: 'box', path: '/a', operation: Operation.WRITE })
  secrets.push(/signature=(.*)/.exec(path)?.[1] ?? '')
  expect((await ask(base + path, { method: 'PUT', body: 'hush-content', key: null })).status).toBe(200)
  await ask(`${base}${path}0`, { method: 'PUT', body: 'hush-content', key: null })
  await call(base, 'IdentityService/GetCaller', {}, { key: 'cove_wrong-hush' })
  await call(base, 'IdentityService/GetCaller', {}, { key: token.slice(0, -2) })
  await operator.identity.revokeKey({ id: admin.id })
  await outcome(caller.identity.getCaller({}))
  const { items } = await store.range({ prefix: '' })
  const kept = items.map(({ key, value }) => key + Buffer.from(value).toString('latin1')).join('\n')
  const texts = { logged, audited: JSON.stringify(await all()), kept }
  expect(texts.audited.length).toBeGreaterThan(1_000)
  for (const [where, text] of Object.entries(texts)) {
    expect([where, secrets.filter((secret) => secret === '' || text.includes(secret))]).toEqual([where, []])
  }
})
