import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { MemoryStore } from '@cove/store'
import { ask, call } from '../../test/support/clients.ts'
import { OTHER_KEY, openHouse, type House } from '../../test/support/harness.ts'
import { ManualClock, settle } from '../../test/support/manual-clock.ts'

let house: House
let base: string
let clock: ManualClock

beforeAll(async () => {
  clock = new ManualClock()
  house = await openHouse({ clock, limits: { keysPerProject: 10, projects: 5 } })
  base = await house.listen()
})
afterAll(() => house[Symbol.asyncDispose]())

const post = async (method: string, message: unknown, key?: string | null) => {
  const { status, json } = await call(base, method, message, key === undefined ? {} : { key })
  return { status, ...json } as { status: number; code?: string } & Record<string, any>
}

describe('projects', () => {
  test('the default one is there; the operator makes others, and only the operator', async () => {
    const before = await post('IdentityService/ListProjects', {})
    expect(before['projects'].map(({ name }: { name: string }) => name)).toEqual(['default'])
    const made = await post('IdentityService/CreateProject', { name: 'team', description: 'a team' })
    expect(made).toMatchObject({ status: 200, project: { name: 'team', description: 'a team' } })
    expect(await post('IdentityService/CreateProject', { name: 'team' })).toMatchObject({ code: 'already_exists' })
    expect(await post('IdentityService/CreateProject', { name: 'x' }, OTHER_KEY)).toMatchObject({
      code: 'permission_denied',
    })
    for (const name of ['', 'Team', '-a', 'a-', '*', 'a/b', 'x'.repeat(64)]) {
      expect(await post('IdentityService/CreateProject', { name })).toMatchObject({ code: 'invalid_argument' })
    }
  })

  test('their number is bounded', async () => {
    for (const name of ['a', 'b', 'c']) expect((await post('IdentityService/CreateProject', { name })).status).toBe(200)
    expect(await post('IdentityService/CreateProject', { name: 'd' })).toMatchObject({ code: 'resource_exhausted' })
    for (const name of ['a', 'b', 'c']) expect((await post('IdentityService/DeleteProject', { name })).status).toBe(200)
  })
})

describe('keys', () => {
  test('a key opens its project with its role, until it is revoked', async () => {
    const made = await post('IdentityService/CreateKey', { project: 'team', name: 'ci' })
    expect(made['secret']).toMatch(/^cove_[0-9a-f]{40}$/)
    expect(made['key']).toMatchObject({ project: 'team', name: 'ci', role: 'ROLE_MEMBER' })
    expect(made['secret'].startsWith(made['key'].prefix)).toBe(true)
    const { id } = made['key'] as { id: string }
    expect(await post('IdentityService/GetCaller', {}, made['secret'])).toMatchObject({
      ...{ project: 'team', role: 'ROLE_MEMBER', key: id },
    })
    const listed = await post('IdentityService/ListKeys', { project: 'team' })
    expect(listed['keys']).toEqual([{ ...made['key'], lastUsedAt: expect.stringMatching(/:\d\d:00Z$/) }])
    const revoked = await post('IdentityService/RevokeKey', { id })
    expect(revoked['key'].revokedAt).toBeDefined()
    expect(await post('IdentityService/RevokeKey', { id })).toEqual(revoked)
    expect((await post('IdentityService/GetCaller', {}, made['secret'])).status).toBe(401)
    expect((await post('IdentityService/ListKeys', { project: 'team' }))['keys'] ?? []).toEqual([])
    const all = await post('IdentityService/ListKeys', { project: 'team', includeEnded: true })
    expect(all['keys']).toHaveLength(1)
  })
})
