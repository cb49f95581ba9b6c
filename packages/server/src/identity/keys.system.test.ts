import { timestampMs } from '@bufbuild/protobuf/wkt'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Role } from '@cove/api'
import { MemoryStore } from '@cove/store'
import { ask } from '../../test/support/clients.ts'
import { KEY, OTHER_KEY, openHouse, type House } from '../../test/support/harness.ts'
import { callerOf, makeKey, outcome, type Caller } from '../../test/support/identity.ts'
import { ManualClock, settle } from '../../test/support/manual-clock.ts'

let clock: ManualClock
let store: MemoryStore
let house: House
let base: string
let operator: Caller

beforeEach(async () => {
  clock = new ManualClock()
  store = new MemoryStore({ clock })
  house = await openHouse({ clock, store, limits: { keysPerProject: 10, projects: 4 } })
  base = await house.listen()
  operator = callerOf(base, KEY)
})
afterEach(() => house[Symbol.asyncDispose]())

const names = async ({ identity }: Caller) => (await identity.listProjects({})).projects.map(({ name }) => name)

describe('projects', () => {
  test('the default one is there; the operator makes others, and nobody else does', async () => {
    expect(await names(operator)).toEqual(['default'])
    await operator.identity.createProject({ name: 'team', description: 'a team' })
    expect(await names(operator)).toEqual(['default', 'team'])
    expect(await outcome(operator.identity.createProject({ name: 'team' }))).toBe('already-exists')
    const admin = callerOf(base, (await makeKey(operator, { project: 'team', role: Role.ADMIN })).secret)
    expect(await names(admin)).toEqual(['team'])
    expect(await outcome(admin.identity.createProject({ name: 'mine' }))).toBe('permission-denied')
    expect(await outcome(admin.identity.deleteProject({ name: 'team' }))).toBe('permission-denied')
  })

  test.each(['', 'Team', '-a', 'a-', '*', 'a/b', 'ä', 'x'.repeat(64)])('%j is no name', async (name) => {
    expect(await outcome(operator.identity.createProject({ name }))).toBe('invalid-argument')
  })

  test('their number is bounded', async () => {
    for (const name of ['a', 'b', 'c']) await operator.identity.createProject({ name })
    expect(await outcome(operator.identity.createProject({ name: 'd' }))).toBe('limit-reached')
    await operator.identity.deleteProject({ name: 'a' })
    await operator.identity.createProject({ name: 'd' })
  })

  test('one with sandboxes stays; without, it goes with its keys, and its name begins anew', async () => {
    await operator.identity.createProject({ name: 'team' })
    const { secret, id } = await makeKey(operator, { project: 'team' })
    const member = callerOf(base, secret)
    await member.sandboxes.createSandbox({ name: 'box' })
    expect(await outcome(operator.identity.deleteProject({ name: 'team' }))).toBe('wrong-state')
    await member.sandboxes.deleteSandbox({ id: 'box' })
    await operator.identity.deleteProject({ name: 'team' })
    expect(await outcome(member.sandboxes.createSandbox({}))).toBe('unauthenticated')
    expect(await outcome(operator.identity.deleteProject({ name: 'team' }))).toBe('project-not-found')
    expect(await outcome(operator.identity.deleteProject({ name: 'default' }))).toBe('wrong-state')
    await operator.identity.createProject({ name: 'team' })
    expect(await outcome(member.identity.getCaller({}))).toBe('unauthenticated')
    expect(await outcome(operator.identity.revokeKey({ id }))).toBe('key-not-found')
    const again = callerOf(base, (await makeKey(operator, { project: 'team' })).secret)
    expect(await outcome(again.sandboxes.createSandbox({}))).toBe('ok')
  })

  test('one with volumes, snapshots, templates, builds or pools stays: its next namesake finds nothing', async () => {
    await operator.identity.createProject({ name: 'team' })
    const { secret } = await makeKey(operator, { project: 'team', role: Role.ADMIN })
    const admin = callerOf(base, secret)
    const remove = () => outcome(operator.identity.deleteProject({ name: 'team' }))

    await admin.volumes.createVolume({ name: 'data' })
    expect(await remove()).toBe('wrong-state')
    await admin.volumes.deleteVolume({ id: 'data' })

    await admin.sandboxes.createSandbox({ name: 'box' })
    await admin.snapshots.createSnapshot({ sandbox: 'box', name: 'ready' })
    await admin.sandboxes.deleteSandbox({ id: 'box' })
    expect(await remove()).toBe('wrong-state')
    await admin.snapshots.deleteSnapshot({ id: 'ready' })

    await admin.pools.setPool({ name: 'warm', template: 'host', min: 1 })
    expect(await remove()).toBe('wrong-state')
    await admin.pools.deletePool({ name: 'warm' })

    const { build } = await admin.templates.buildTemplate({ name: 'app', source: 'host' })
    expect(await remove()).toBe('wrong-state')
    await admin.templates.cancelBuild({ build })
    expect(await remove()).toBe('ok')

    await operator.identity.createProject({ name: 'team' })
    const again = callerOf(base, (await makeKey(operator, { project: 'team' })).secret)
    expect(await outcome(Array.fromAsync(again.templates.followBuild({ build })))).toBe('build-not-found')
  })

  test('nothing is created in one while it is being deleted', async () => {
    await operator.identity.createProject({ name: 'team' })
    const creating = Array.from({ length: 20 }, () => outcome(operator.sandboxes.createSandbox({}, inProject('team'))))
    const deleted = await outcome(operator.identity.deleteProject({ name: 'team' }))
    const made = (await Promise.all(creating)).filter((one) => one === 'ok')
    expect(deleted === 'ok' ? made.length : 0).toBe(0)
    expect(['ok', 'wrong-state']).toContain(deleted)
  })
})

const inProject = (name: string) => ({ headers: { 'cove-project': name } })

describe('keys', () => {
  test('open their project with their role until they are revoked, and are kept as a hash only', async () => {
    await operator.identity.createProject({ name: 'team' })
    const { key, secret } = await operator.identity.createKey({ project: 'team', name: 'ci' })
    expect(secret).toMatch(/^cove_[0-9a-f]{40}$/)
    expect(key).toMatchObject({ project: 'team', name: 'ci', role: Role.MEMBER, prefix: secret.slice(0, 11) })
    const member = callerOf(base, secret)
    expect(await member.identity.getCaller({})).toMatchObject({
      project: 'team',
      role: Role.MEMBER,
      key: key?.id,
      operator: false,
      sandbox: '',
    })
    const { items } = await store.range({ prefix: '' })
    expect(items.map(({ value }) => Buffer.from(value).toString('latin1')).join()).not.toContain(secret.slice(11))

    const { id } = key ?? { id: '' }
    const revoked = await operator.identity.revokeKey({ id })
    expect(revoked.key?.revokedAt).toBeDefined()
    expect(await operator.identity.revokeKey({ id })).toEqual(revoked)
    expect(await outcome(member.identity.getCaller({}))).toBe('unauthenticated')
    expect((await operator.identity.listKeys({ project: 'team' })).keys).toEqual([])
    expect((await operator.identity.listKeys({ project: 'team', includeEnded: true })).keys).toHaveLength(1)
  })

  test('are listed newest first with when they were used, to the minute, without a write', async () => {
    await clock.advance(61_500)
    const first = await makeKey(operator, { name: 'a' })
    await clock.advance(1_000)
    await makeKey(operator, { name: 'b' })
    const before = await store.revision()
    await callerOf(base, first.secret).identity.getCaller({})
    const { keys } = await operator.identity.listKeys({})
    expect(keys.map(({ name }) => name)).toEqual(['b', 'a'])
    expect(keys[0]?.lastUsedAt).toBeUndefined()
    const used = keys[1]?.lastUsedAt
    expect(used === undefined ? undefined : timestampMs(used)).toBe(clock.now() - (clock.now() % 60_000))
    expect(await store.revision()).toBe(before)
  })

  test('expire at their time', async () => {
    const { secret } = await makeKey(operator, { seconds: 60 })
    const member = callerOf(base, secret)
    await clock.advance(59_999)
    expect(await outcome(member.identity.getCaller({}))).toBe('ok')
    await clock.advance(1)
    expect(await outcome(member.identity.getCaller({}))).toBe('unauthenticated')
    for (const seconds of [0, 10 * 365 * 86_400]) {
      expect(await outcome(makeKey(operator, { seconds }))).toBe('invalid-argument')
    }
  })

  test('are made by admins, for their own project, and never above them', async () => {
    await operator.identity.createProject({ name: 'team' })
    const keyOf = async (role: Role) => callerOf(base, (await makeKey(operator, { project: 'team', role })).secret)
    const [admin, member, viewer] = [await keyOf(Role.ADMIN), await keyOf(Role.MEMBER), await keyOf(Role.VIEWER)]
    for (const caller of [member, viewer]) {
      expect(await outcome(makeKey(caller, { role: Role.VIEWER }))).toBe('permission-denied')
      expect(await outcome(makeKey(caller, { role: Role.ADMIN }))).toBe('permission-denied')
      expect(await outcome(caller.identity.listKeys({}))).toBe('permission-denied')
    }
    const mine = await makeKey(admin, { role: Role.ADMIN })
    expect((await callerOf(base, mine.secret).identity.getCaller({})).operator).toBe(false)
    expect(await outcome(makeKey(admin, { project: 'default' }))).toBe('permission-denied')
    expect(await outcome(makeKey(admin, { project: 'nope' }))).toBe('permission-denied')
    expect(await outcome(admin.identity.listKeys({ project: 'default' }))).toBe('permission-denied')
    const { id } = await makeKey(operator, { project: 'default' })
    expect(await outcome(admin.identity.revokeKey({ id }))).toBe('key-not-found')
    expect(await outcome(operator.identity.revokeKey({ id: 'nope' }))).toBe('key-not-found')
    expect(await outcome(makeKey(operator, { project: 'nope' }))).toBe('project-not-found')
    expect(await outcome(makeKey(operator, { role: 9 as Role }))).toBe('invalid-argument')
    for (const name of ['a\nb', 'a\u2028b', 'a\u202eb']) {
      expect(await outcome(makeKey(operator, { name }))).toBe('invalid-argument')
    }
  })

  test('are bounded in number, also when many are made at once; ended ones do not count', async () => {
    const made = await Promise.all(Array.from({ length: 25 }, () => outcome(makeKey(operator))))
    expect(made.filter((one) => one === 'ok')).toHaveLength(10)
    expect(made.filter((one) => one === 'limit-reached')).toHaveLength(15)
    const { keys } = await operator.identity.listKeys({})
    await operator.identity.revokeKey({ id: keys[0]?.id ?? '' })
    expect(await outcome(makeKey(operator))).toBe('ok')
  })
})

describe('the operator', () => {
  test('works in every project by a header; others only in their own', async () => {
    await operator.identity.createProject({ name: 'team' })
    const { secret } = await makeKey(operator, { project: 'team' })
    const member = callerOf(base, secret)
    const { sandbox } = await member.sandboxes.createSandbox({ name: 'box' })
    expect(await outcome(operator.sandboxes.getSandbox({ id: 'box' }))).toBe('sandbox-not-found')
    expect((await operator.sandboxes.getSandbox({ id: 'box' }, inProject('team'))).sandbox?.id).toBe(sandbox?.id)
    expect(await outcome(operator.sandboxes.getSandbox({ id: 'box' }, inProject('nope')))).toBe('project-not-found')
    expect(await outcome(member.sandboxes.getSandbox({ id: 'box' }, inProject('team')))).toBe('ok')
    expect(await outcome(member.sandboxes.getSandbox({ id: 'box' }, inProject('default')))).toBe('permission-denied')
    const file = `${base}/v1/sandboxes/box/files?path=/a`
    const headers = { 'cove-project': 'team' }
    expect((await ask(file, { method: 'PUT', body: 'x', headers })).status).toBe(200)
    expect((await ask(file, { key: secret })).body.toString()).toBe('x')
    const foreign = await ask(file, { key: OTHER_KEY, headers })
    expect([foreign.status, foreign.json['code']]).toEqual([403, 'permission-denied'])
  })
})

describe('another server', () => {
  test('takes the keys of this one, and hears of their end', async () => {
    await using second = await openHouse({ clock, store, node: house.node })
    const there = await second.listen()
    const { secret, id } = await makeKey(operator)
    await settle()
    const member = callerOf(there, secret)
    expect(await outcome(member.identity.getCaller({}))).toBe('ok')
    await operator.identity.revokeKey({ id })
    await settle()
    expect(await outcome(member.identity.getCaller({}))).toBe('unauthenticated')
    await using third = await openHouse({ clock, store, node: house.node })
    expect(await outcome(callerOf(await third.listen(), secret).identity.getCaller({}))).toBe('unauthenticated')
  })

  test('drops the keys whose project went while it was not there', async () => {
    await operator.identity.createProject({ name: 'team' })
    const { id } = await makeKey(operator, { project: 'team' })
    await store.txn([], [{ type: 'delete', key: 'access/project/team' }])
    await using second = await openHouse({ clock, store, node: house.node })
    await second.listen()
    expect(await store.get(`access/key/${id}`)).toBeUndefined()
  })
})
