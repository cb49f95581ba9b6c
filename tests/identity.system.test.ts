import { readFileSync, readdirSync, statSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Cove } from '@cove/sdk'
import { TestDaemon } from './support/daemon.ts'

const codeOf = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => 'ok',
    (error: unknown) => (error instanceof Error && 'code' in error ? String(error.code) : String(error)),
  )

async function everything<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const all: Item[] = []
  for await (const item of items) all.push(item)
  return all
}

/** Every file of a folder, whole. */
function* filesOf(folder: string): Generator<[string, Buffer]> {
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    const path = join(folder, name)
    const stat = statSync(path, { throwIfNoEntry: false })
    if (stat?.isFile() === true && stat.size < 64 * 1024 * 1024) yield [name, readFileSync(path)]
  }
}

test('keys, tokens, addresses and the audit log outlive a killed daemon, and no secret is left on the disk', async () => {
  await using daemon = await TestDaemon.start(['--log-level', 'debug'])
  const operator = daemon.client()
  await operator.projects.create('team', { description: 'a team' })
  const admin = await operator.keys.create({ project: 'team', role: 'admin', name: 'lead' })
  const leader = new Cove({ url: daemon.url, apiKey: admin.secret })
  const viewer = await leader.keys.create({ role: 'viewer' })
  const gone = await leader.keys.create({ role: 'member' })
  await leader.keys.revoke(gone.key.id)
  const sandbox = await leader.sandboxes.create({ name: 'box' })
  await sandbox.files.write('/home/user/report.txt', 'all is well')
  const { token } = await sandbox.createToken()
  const signed = await sandbox.files.signUrl('/home/user/report.txt')
  const looker = new Cove({ url: daemon.url, apiKey: viewer.secret })
  expect(await codeOf(looker.sandboxes.get('box').then((found) => found.delete()))).toBe('permission-denied')

  await daemon.end('SIGKILL')
  await daemon.start()
  const again = (apiKey: string) => new Cove({ url: daemon.url, apiKey })
  expect((await again(token).sandboxes.get('box')).id).toBe(sandbox.id)
  expect(await codeOf(everything(again(gone.secret).sandboxes.list()))).toBe('unauthenticated')
  expect(await codeOf(again(viewer.secret).sandboxes.create())).toBe('permission-denied')
  const answer = await fetch(signed.url.replace(/^http:\/\/[^/]+/, daemon.url))
  expect([answer.status, await answer.text()]).toEqual([200, 'all is well'])

  const events = await everything(again(admin.secret).audit.list())
  const said = events.map(({ action, outcome }) => `${action} ${outcome}`).toReversed()
  expect(said).toEqual([
    'IdentityService/CreateKey ok',
    'IdentityService/CreateKey ok',
    'IdentityService/CreateKey ok',
    'IdentityService/RevokeKey ok',
    'SandboxService/CreateSandbox ok',
    'files/put ok',
    'IdentityService/CreateSandboxToken ok',
    'FileService/SignFileUrl ok',
    'SandboxService/DeleteSandbox permission-denied',
    'SandboxService/CreateSandbox permission-denied',
  ])
  // `cove down --all` has to find this one too.
  await again(admin.secret).sandboxes.create({ name: 'left' })
  await (await again(admin.secret).sandboxes.get('box')).delete()
  expect(await codeOf(everything(again(token).sandboxes.list()))).toBe('unauthenticated')
  expect((await fetch(signed.url.replace(/^http:\/\/[^/]+/, daemon.url))).status).toBe(410)

  for (const name of readdirSync(join(daemon.dataDir, 'audit'))) {
    expect(statSync(join(daemon.dataDir, 'audit', name)).mode & 0o777).toBe(0o600)
  }
  const signature = /signature=([^&]+)/.exec(signed.url)?.[1] ?? ''
  const secrets = [admin, viewer, gone].map(({ secret }) => secret.slice(11)).concat(token.slice(-43), signature)
  expect(secrets.every((secret) => secret.length > 20)).toBe(true)
  const found: string[] = []
  for (const [name, content] of filesOf(daemon.dataDir)) {
    for (const secret of secrets) if (content.includes(secret)) found.push(name)
  }
  for (const secret of [...secrets, daemon.apiKey]) if (daemon.output.includes(secret)) found.push('output')
  expect(found).toEqual([])
})

test('what the key of the operator made ends when it is replaced', async () => {
  await using daemon = await TestDaemon.start()
  const sandbox = await daemon.client().sandboxes.create()
  await sandbox.files.write('/home/user/report.txt', 'all is well')
  const { token } = await sandbox.createToken()
  const signed = await sandbox.files.signUrl('/home/user/report.txt')

  await daemon.end('SIGTERM')
  unlinkSync(join(daemon.dataDir, 'api-key'))
  await daemon.start()
  expect(await codeOf(new Cove({ url: daemon.url, apiKey: token }).sandboxes.get(sandbox.id))).toBe('unauthenticated')
  expect((await fetch(signed.url.replace(/^http:\/\/[^/]+/, daemon.url))).status).toBe(403)
  const replaced = new Cove({ url: daemon.url, apiKey: readFileSync(join(daemon.dataDir, 'api-key'), 'utf8').trim() })
  await replaced.sandboxes.delete(sandbox.id)
})
