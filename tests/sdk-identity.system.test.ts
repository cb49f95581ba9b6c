import { Cove, CoveError, type AuditEvent } from '@cove/sdk'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { TestDaemon } from './support/daemon.ts'

describe("who may do what, from the client's side", () => {
  let daemon: TestDaemon
  let cove: Cove
  const as = (apiKey: string): Cove => new Cove({ url: daemon.url, apiKey })
  beforeAll(async () => {
    daemon = await TestDaemon.start()
    cove = daemon.client()
  })
  afterAll(() => daemon[Symbol.asyncDispose]())

  it('tells the caller, and makes, lists and revokes keys', async () => {
    expect(await cove.caller()).toMatchObject({ project: 'default', role: 'admin', operator: true })
    const { key, secret } = await cove.keys.create({ name: 'looker', role: 'viewer', expiresIn: 3_600_000 })
    expect(key).toMatchObject({ name: 'looker', role: 'viewer', project: 'default' })
    expect(secret.startsWith(key.prefix)).toBe(true)
    expect(key.expiresAt?.getTime()).toBeGreaterThan(key.createdAt.getTime())
    expect(await as(secret).caller()).toEqual({ project: 'default', role: 'viewer', key: key.id, operator: false })
    await expect(as(secret).sandboxes.create()).rejects.toMatchObject({ code: 'permission-denied' })
    expect((await cove.keys.list()).map(({ id }) => id)).toContain(key.id)
    expect((await cove.keys.revoke(key.id)).revokedAt).toBeInstanceOf(Date)
    await cove.keys.revoke(key.id)
    await expect(as(secret).caller()).rejects.toMatchObject({ code: 'unauthenticated' })
    expect((await cove.keys.list()).map(({ id }) => id)).not.toContain(key.id)
    expect((await cove.keys.list({ includeEnded: true })).map(({ id }) => id)).toContain(key.id)
  })

  it('ends every stream of a key that is revoked, with that reason', async () => {
    const { key, secret } = await cove.keys.create()
    const member = as(secret)
    await using sandbox = await cove.sandboxes.create()
    const process = await member.sandboxes.at(sandbox.id).start(['sleep', '1000'])
    const files = await member.sandboxes.at(sandbox.id).files.watch('/home/user')
    const sandboxes = member.sandboxes.watch()
    while ((await sandboxes.next()).value?.type !== 'synced');
    const ends = [process.wait(), files.next(), sandboxes.next()].map((end) =>
      end.then(
        () => 'went on',
        (error: unknown) => CoveError.from(error).code,
      ),
    )
    await cove.keys.revoke(key.id)
    expect(await Promise.all(ends)).toEqual(['unauthenticated', 'unauthenticated', 'unauthenticated'])
  })

  it('keeps projects apart', async () => {
    const project = await cove.projects.create('apart', { description: 'another one' })
    expect(project).toMatchObject({ name: 'apart', description: 'another one' })
    await expect(cove.projects.create('apart')).rejects.toMatchObject({ code: 'already-exists' })
    const { secret } = await cove.keys.create({ project: 'apart', role: 'admin' })
    const other = as(secret)
    await using sandbox = await cove.sandboxes.create()
    await expect(other.sandboxes.get(sandbox.id)).rejects.toMatchObject({ code: 'sandbox-not-found' })
    const theirs = await other.sandboxes.create()
    expect(theirs.info.project).toBe('apart')
    await expect(cove.projects.delete('apart')).rejects.toBeInstanceOf(CoveError)
    await theirs.delete()
    await cove.projects.delete('apart')
    expect((await cove.projects.list()).map(({ name }) => name)).toEqual(['default'])
    await expect(other.caller()).rejects.toMatchObject({ code: 'unauthenticated' })
  })

  it('opens one sandbox with a token, until the sandbox has ended', async () => {
    await using other = await cove.sandboxes.create()
    const sandbox = await cove.sandboxes.create()
    const { token, expiresAt } = await sandbox.createToken({ role: 'member', expiresIn: 60_000 })
    expect(expiresAt.getTime()).toBeGreaterThan(Date.now())
    const agent = as(token)
    expect(await agent.caller()).toMatchObject({ role: 'member', operator: false, sandbox: sandbox.id })
    expect((await agent.sandboxes.at(sandbox.id).run(['echo', 'mine'])).stdout).toBe('mine\n')
    expect((await agent.sandboxes.list().all()).map(({ id }) => id)).toEqual([sandbox.id])
    await expect(agent.sandboxes.at(other.id).run(['true'])).rejects.toMatchObject({ code: 'sandbox-not-found' })
    await sandbox.delete()
    await expect(agent.caller()).rejects.toMatchObject({ code: 'unauthenticated' })
  })

  it('signs addresses for one file, that open without a key', async () => {
    await using sandbox = await cove.sandboxes.create()
    const path = '/home/user/a file?#.txt'
    const put = await sandbox.files.signUrl(path, { operation: 'write', expiresIn: 60_000 })
    expect((await fetch(put.url, { method: 'PUT', body: 'from outside' })).status).toBe(200)
    const get = await sandbox.files.signUrl(path)
    expect(get.expiresAt.getTime()).toBeGreaterThan(Date.now())
    expect(await (await fetch(get.url)).text()).toBe('from outside')
    expect((await fetch(get.url, { method: 'PUT', body: 'not for this' })).ok).toBe(false)
    expect((await fetch(get.url.replace('txt', 'other'))).ok).toBe(false)
    expect(await sandbox.files.readText(path)).toBe('from outside')
  })

  it('reads the audit log page by page, newest first', async () => {
    const since = new Date()
    const made: string[] = []
    for (let i = 0; i < 5; i++) made.push((await cove.keys.create({ name: `key ${i}` })).key.id)
    await cove.keys.revoke('no-such-key').catch(() => {})
    const all: AuditEvent[] = await cove.audit.list({ since, pageSize: 2 }).all()
    expect(all.slice(1).map(({ target }) => target)).toEqual(made.toReversed())
    expect(all[0]).toMatchObject({ action: 'IdentityService/RevokeKey', project: 'default', role: 'admin' })
    expect(all.every(({ at }) => at >= since)).toBe(true)
    const failed = await cove.audit.list({ since, failed: true }).all()
    expect(failed.map(({ id }) => id)).toEqual([all[0]?.id])
    expect(failed[0]?.outcome).not.toBe('ok')
    const first = []
    for await (const event of cove.audit.list({ since, action: 'IdentityService/Create', pageSize: 1 })) {
      first.push(event.target)
      if (first.length === 2) break
    }
    expect(first).toEqual(made.toReversed().slice(0, 2))
    expect(await cove.audit.list({ until: since, target: made[0] ?? '' }).all()).toEqual([])
  })
})
