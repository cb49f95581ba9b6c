import { lstat, mkdir, mkdtemp, readFile, readdir, readlink, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { buildHostTemplate, pruneHostTemplates } from './build-template.ts'

let work: string
let host: string
let folder: string
beforeEach(async () => {
  work = await mkdtemp(join(tmpdir(), 'cove-test-'))
  host = join(work, 'host')
  folder = join(work, 'templates')
  await mkdir(join(host, 'usr/bin'), { recursive: true })
  await mkdir(join(host, 'etc/ssl/certs'), { recursive: true })
  await mkdir(join(host, 'etc/ssl/private'))
  await writeFile(join(host, 'etc/ssl/certs/ca.pem'), 'public')
  await symlink('/usr/share/ca/x.crt', join(host, 'etc/ssl/certs/x.0'))
  await writeFile(join(host, 'etc/ssl/private/key.pem'), 'secret')
  await writeFile(join(host, 'etc/shadow'), 'secret')
  await writeFile(join(host, 'etc/passwd'), 'alice:x:0:0::/:/bin/sh')
  await writeFile(join(host, 'usr/bin/python3'), '')
  await symlink('usr/bin', join(host, 'bin'))
  await mkdir(join(host, 'lib64'))
})
afterEach(async () => {
  await rm(work, { recursive: true })
})

it('shows of the host only certificates, alternatives and the linker cache', async () => {
  const { root, usr, unmerged } = await buildHostTemplate(folder, 'user', host)
  expect(await readdir(join(root, 'etc/ssl'))).toEqual(['certs'])
  expect(await readlink(join(root, 'etc/ssl/certs/x.0'))).toBe('/usr/share/ca/x.crt')
  expect(await readFile(join(root, 'etc/passwd'), 'utf8')).not.toContain('alice')
  expect(await readdir(join(root, 'etc'))).not.toContain('shadow')
  expect(await readlink(join(root, 'bin'))).toBe('usr/bin')
  expect((await lstat(join(root, 'lib64'))).isDirectory()).toBe(true)
  expect(unmerged).toEqual(['/lib64'])
  expect(await readlink(join(usr, 'bin/python'))).toBe('python3')
  expect((await lstat(join(root, 'tmp'))).mode & 0o7777).toBe(0o1777)
})

it('names only users that exist', async () => {
  const one = await buildHostTemplate(folder, 'user', host)
  expect(await readFile(join(one.root, 'etc/passwd'), 'utf8')).not.toContain('root')
})

it('is made once and anew when the host changes, and forgets what nobody uses', async () => {
  const first = await buildHostTemplate(folder, 'user', host)
  await writeFile(join(first.root, 'marker'), '')
  expect((await buildHostTemplate(folder, 'user', host)).name).toBe(first.name)
  expect(await readdir(first.root)).toContain('marker')

  await writeFile(join(host, 'etc/ld.so.cache'), 'cache')
  const second = await buildHostTemplate(folder, 'user', host)
  expect(second.name).not.toBe(first.name)
  expect(await readFile(join(second.root, 'etc/ld.so.cache'), 'utf8')).toBe('cache')

  await pruneHostTemplates(folder, new Set([second.name]))
  expect(await readdir(folder)).toEqual([second.name])
})
