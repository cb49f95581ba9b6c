import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
} from 'node:fs'
import { rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { TestDaemon } from './support/daemon.ts'

/** Names, kinds, modes and content, in order. */
function describeTree(root: string): unknown[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .toSorted()
    .map((name) => {
      const path = join(root, name)
      const stat = lstatSync(path)
      if (stat.isSymbolicLink()) return [name, 'link', readlinkSync(path)]
      if (stat.isDirectory()) return [name, 'directory', (stat.mode & 0o777).toString(8)]
      return [name, (stat.mode & 0o777).toString(8), readFileSync(path).toString('base64')]
    })
}

describe('cove cp', () => {
  let daemon: TestDaemon
  let folder: string
  beforeAll(async () => {
    daemon = await TestDaemon.start()
    folder = mkdtempSync(join(tmpdir(), 'cove-test-cp-'))
  })
  afterAll(async () => {
    rmSync(folder, { recursive: true, force: true })
    await daemon[Symbol.asyncDispose]()
  })
  beforeEach(async () => {
    await daemon.cove(['rm', '--all'])
    await ok('create', '--name', 'box')
    rmSync(folder, { recursive: true })
    mkdirSync(folder)
  })
  const ok = async (...args: readonly string[]): Promise<string> => {
    const { status, stdout, stderr } = await daemon.cove(args)
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    return stdout
  }
  const inside = (script: string): Promise<string> => ok('exec', 'box', 'sh', '-c', script)
  const at = (...parts: readonly string[]): string => join(folder, ...parts)

  it('takes a file of any bytes in and out again', async () => {
    const bytes = randomBytes(3_000_001)
    writeFileSync(at('a'), bytes)
    chmodSync(at('a'), 0o750)
    await ok('cp', at('a'), 'box:/home/user/new/deep/b')
    expect(await inside('stat -c "%a %s" new/deep/b')).toBe(`750 ${bytes.length}\n`)
    await ok('cp', 'box:/home/user/new/deep/b', at('back'))
    expect(readFileSync(at('back')).equals(bytes)).toBe(true)
    expect(lstatSync(at('back')).mode & 0o777).toBe(0o750)
  })

  it('puts files into directories that are there, as cp does', async () => {
    writeFileSync(at('a'), 'x')
    await ok('cp', at('a'), 'box:/home/user')
    await inside('ln -s /tmp there; mkdir -p out/dir; echo y > out/dir/f')
    await ok('cp', at('a'), 'box:/home/user/there')
    expect(await inside('cat a /tmp/a')).toBe('xx')
    await ok('cp', 'box:/home/user/out', folder)
    expect(readFileSync(at('out/dir/f'), 'utf8')).toBe('y\n')
    await ok('cp', 'box:/home/user/out/.', at('renamed'))
    expect(readFileSync(at('renamed/dir/f'), 'utf8')).toBe('y\n')
  })

  it('copies a directory with all that is in it, both ways', async () => {
    mkdirSync(at('tree/empty/nested'), { recursive: true })
    mkdirSync(at('tree/locked'))
    writeFileSync(at('tree/locked/f'), 'in')
    writeFileSync(at('tree/run.sh'), '#!/bin/sh\n')
    writeFileSync(at('tree/näme with spaces'), '')
    symlinkSync('run.sh', at('tree/link'))
    symlinkSync('/nowhere', at('tree/dangling'))
    chmodSync(at('tree/run.sh'), 0o755)
    chmodSync(at('tree/locked/f'), 0o640)
    chmodSync(at('tree/locked'), 0o555)
    await ok('cp', at('tree'), 'box:/home/user/')
    expect(await inside('cd tree; stat -c "%n %a" run.sh locked locked/f empty/nested; readlink link dangling')).toBe(
      'run.sh 755\nlocked 555\nlocked/f 640\nempty/nested 755\nrun.sh\n/nowhere\n',
    )
    await ok('cp', 'box:/home/user/tree', at('back'))
    expect(describeTree(at('back'))).toEqual(describeTree(at('tree')))
    // And again over what is there.
    await ok('cp', `${at('tree')}/.`, 'box:/home/user/tree')
    await ok('cp', 'box:/home/user/tree/.', at('back'))
    expect(describeTree(at('back'))).toEqual(describeTree(at('tree')))
    chmodSync(at('tree/locked'), 0o755)
    chmodSync(at('back/locked'), 0o755)
  })

  it('copies 10,000 small files', { timeout: 240_000 }, async () => {
    for (let d = 0; d < 100; d++) {
      mkdirSync(at('many', `d${d}`), { recursive: true })
      for (let f = 0; f < 100; f++) writeFileSync(at('many', `d${d}`, `f${f}`), `${d} ${f}`)
    }
    await ok('cp', at('many'), 'box:/home/user/many')
    expect(await inside('find many -type f | wc -l; cat many/d99/f7')).toBe('10000\n99 7')
    await ok('cp', 'box:/home/user/many', at('back'))
    expect(readdirSync(at('back'), { recursive: true })).toHaveLength(10_100)
  })

  it('reads stdin and writes stdout', async () => {
    const input = randomBytes(1_000_000).toString('base64')
    expect(await daemon.cove(['cp', '-', 'box:/tmp/in'], { input })).toEqual({ status: 0, stdout: '', stderr: '' })
    expect(await ok('cp', 'box:/tmp/in', '-')).toBe(input)
  })

  it('writes to no place that a sandbox chooses', async () => {
    mkdirSync(at('victim'))
    writeFileSync(at('victim/f'), 'safe')
    await inside(`mkdir -p evil; ln -s ${at('victim')} evil/sub; ln -s ${at('victim/f')} evil/file`)
    await ok('cp', 'box:/home/user/evil', at('got'))
    expect(lstatSync(at('got/sub')).isSymbolicLink()).toBe(true)
    // The link is on this side now, and the sandbox has put a directory and a file in its place.
    await inside('rm -r evil; mkdir -p evil/sub; echo bad > evil/sub/f; echo bad > evil/file')
    const { status, stderr } = await daemon.cove(['cp', 'box:/home/user/evil/.', at('got')])
    expect(status).toBe(1)
    expect(stderr).toContain('is a link')
    expect(readFileSync(at('victim/f'), 'utf8')).toBe('safe')
    await inside('rm -r evil/sub')
    await ok('cp', 'box:/home/user/evil/.', at('got'))
    expect(readFileSync(at('got/file'), 'utf8')).toBe('bad\n')
    expect(readFileSync(at('victim/f'), 'utf8')).toBe('safe')
  })

  it('gives no set-uid program to this machine', async () => {
    await ok('exec', '-u', 'root', 'box', 'sh', '-c', 'cp /bin/true /tmp/suid; chmod 4755 /tmp/suid')
    await ok('cp', 'box:/tmp/suid', at('suid'))
    expect(lstatSync(at('suid')).mode & 0o7777).toBe(0o755)
  })

  it('tells what cannot be copied, and copies the rest', async () => {
    await inside('mkdir odd; mkfifo odd/pipe; touch odd/plain; touch "odd/$(printf \'b\\377d\')"')
    const { status, stderr } = await daemon.cove(['cp', 'box:/home/user/odd', at('odd')])
    expect(status).toBe(1)
    expect(stderr).toContain('odd/pipe was not copied: it is neither a file, a directory nor a link')
    expect(stderr).toContain('was not copied: its name is not UTF-8')
    expect(readdirSync(at('odd'))).toEqual(['plain'])
  })

  it.each([
    [['box:/nope', 'x'], 'error: '],
    [['/nope', 'box:/tmp/x'], '/nope cannot be read'],
    [['box:/tmp', '-'], 'error: '],
  ])('fails with a reason for %j and leaves nothing', async (args, message) => {
    const { status, stderr } = await daemon.cove(['cp', ...args.map((arg) => (arg === 'x' ? at('x') : arg))])
    expect(status).toBe(1)
    expect(stderr).toContain(message)
    expect(stderr).toMatch(/\nfix: /)
    expect(existsSync(at('x'))).toBe(false)
  })
})
