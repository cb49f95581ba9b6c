import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { contextOfFiles, type BuildContext } from './build-context.ts'
import { packFolder } from './folder-context.ts'

let root: string

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'cove-test-context-'))
  mkdirSync(join(root, 'src/deep'), { recursive: true })
  writeFileSync(join(root, 'src/main.py'), 'print(1)\n')
  writeFileSync(join(root, 'src/deep/run'), '#!/bin/sh\n', { mode: 0o700 })
  writeFileSync(join(root, 'src/old.pyc'), 'x')
  symlinkSync('main.py', join(root, 'src/link'))
})

afterEach(() => rmSync(root, { recursive: true, force: true }))

const pack = (from: string, to: string, ignore: readonly string[] = []) => packFolder({ root, from, to, ignore })

async function bytesOf({ content, digest }: BuildContext): Promise<Buffer> {
  const bytes = Buffer.concat(await Array.fromAsync(content()))
  expect(digest).toBe(`sha256:${createHash('sha256').update(bytes).digest('hex')}`)
  return bytes
}

/** As tar itself reads it. */
async function listed(context: BuildContext): Promise<string[]> {
  const text = execFileSync('tar', ['-tv', '--numeric-owner', '--utc'], { input: await bytesOf(context) }).toString()
  return text
    .trim()
    .split('\n')
    .map((line) => line.replaceAll(/ +/g, ' '))
}

it('packs a directory in the order of names, without owners and times', async () => {
  const { context, to } = await pack('src', '/app', ['*.pyc'])
  expect(to).toBe('/app')
  expect(await listed(context)).toEqual([
    'drwxr-xr-x 0/0 0 1970-01-01 00:00 deep/',
    '-rwxr-xr-x 0/0 10 1970-01-01 00:00 deep/run',
    'lrwxrwxrwx 0/0 0 1970-01-01 00:00 link -> main.py',
    '-rw-r--r-- 0/0 9 1970-01-01 00:00 main.py',
  ])
})

it('gives the same bytes for the same content, and others for another', async () => {
  const { digest } = (await pack('src', '/app')).context
  utimesSync(join(root, 'src/main.py'), 1, 1)
  chmodSync(join(root, 'src/main.py'), 0o640)
  expect((await pack('src', '/app')).context.digest).toBe(digest)
  chmodSync(join(root, 'src/main.py'), 0o755)
  expect((await pack('src', '/app')).context.digest).not.toBe(digest)
})

it.each([
  ['src/main.py', '/app/', '/app/', 'main.py'],
  ['src/main.py', '/app/start.py', '/app', 'start.py'],
  ['src/main.py', 'start.py', '.', 'start.py'],
  ['src/main.py', '/start.py', '/', 'start.py'],
  ['src/main.py', '.', '.', 'main.py'],
])('packs the file %j for %j as %j and %j', async (from, target, at, name) => {
  const { context, to } = await pack(from, target)
  expect(to).toBe(at)
  expect(await listed(context)).toEqual([`-rw-r--r-- 0/0 9 1970-01-01 00:00 ${name}`])
})

it('leaves out what .coveignore says, at the root of the context', async () => {
  writeFileSync(join(root, '.coveignore'), '# comment\nsrc/deep\n*.pyc\n')
  const { context } = await pack('src', '/app')
  expect((await listed(context)).map((line) => line.split(' ')[5])).toEqual(['link', 'main.py'])
})

it('takes what is wanted again from a directory that is left out', async () => {
  writeFileSync(join(root, '.coveignore'), 'src/deep\n!src/deep/run\n')
  const { context } = await pack('src', '/app')
  expect((await listed(context)).map((line) => line.split(' ')[5])).toContain('deep/run')
})

it('has names and links of any length, as tar reads them', async () => {
  const long = `${'d'.repeat(90)}/${'f'.repeat(120)}ü`
  mkdirSync(join(root, 'src', 'd'.repeat(90)))
  writeFileSync(join(root, 'src', long), 'x')
  symlinkSync('t'.repeat(200), join(root, 'src/longlink'))
  const out = join(root, 'out')
  mkdirSync(out)
  execFileSync('tar', ['-x', '-C', out], { input: await bytesOf((await pack('src', '/')).context) })
  expect(execFileSync('cat', [join(out, long)]).toString()).toBe('x')
  expect(
    execFileSync('readlink', [join(out, 'longlink')])
      .toString()
      .trim(),
  ).toBe('t'.repeat(200))
})

it('follows no link, and leads nowhere outside', async () => {
  const outside = mkdtempSync(join(tmpdir(), 'cove-test-outside-'))
  try {
    writeFileSync(join(outside, 'secret'), 'secret')
    symlinkSync(outside, join(root, 'src/out'))
    const { context } = await pack('src', '/app')
    expect((await bytesOf(context)).includes('secret')).toBe(false)
    await expect(pack('src/out', '/app')).rejects.toMatchObject({ code: 'invalid-argument' })
    await expect(pack('src/out/secret', '/app')).rejects.toMatchObject({ code: 'invalid-argument' })
    await expect(pack('..', '/app')).rejects.toMatchObject({ code: 'invalid-argument' })
    await expect(pack('missing', '/app')).rejects.toMatchObject({ code: 'invalid-argument' })
  } finally {
    rmSync(outside, { recursive: true })
  }
})

it('says so when a file changes while it is sent', async () => {
  const { context } = await pack('src/main.py', '/app/')
  writeFileSync(join(root, 'src/main.py'), 'something longer than before')
  const other = Buffer.concat(await Array.fromAsync(context.content()))
  expect(createHash('sha256').update(other).digest('hex')).not.toBe(context.digest.slice(7))
})

it('packs files from memory alike', async () => {
  const context = await contextOfFiles({ 'b/run.sh': '#!/bin/sh\n', 'a.txt': new Uint8Array([1, 2, 3]), 'b/c/d': '' })
  expect(await listed(context)).toEqual([
    '-rw-r--r-- 0/0 3 1970-01-01 00:00 a.txt',
    'drwxr-xr-x 0/0 0 1970-01-01 00:00 b/',
    'drwxr-xr-x 0/0 0 1970-01-01 00:00 b/c/',
    '-rw-r--r-- 0/0 0 1970-01-01 00:00 b/c/d',
    '-rwxr-xr-x 0/0 10 1970-01-01 00:00 b/run.sh',
  ])
  for (const name of ['/a', '../a', 'a//b', 'a/./b', '']) {
    await expect(contextOfFiles({ [name]: 'x' })).rejects.toMatchObject({ code: 'invalid-argument' })
  }
  await expect(contextOfFiles({})).rejects.toMatchObject({ code: 'invalid-argument' })
})
