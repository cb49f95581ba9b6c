import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { Cove } from '@cove/sdk'
import { TestDaemon } from './support/daemon.ts'
import { noRuntime, SmallImage } from './support/small-image.ts'

const SKOPEO = '/usr/bin/skopeo'

describe('archives of snapshots', () => {
  const folder = mkdtempSync(join(tmpdir(), 'cove-test-'))
  const file = join(folder, 'saved.tar')
  let daemon: TestDaemon
  let cove: Cove
  beforeAll(async () => {
    daemon = await TestDaemon.start(['--drivers', 'bubblewrap,crun'])
    cove = daemon.client()
  })
  afterEach(async () => {
    for await (const { id } of cove.sandboxes.list()) await cove.sandboxes.delete(id)
    for (const { id } of await cove.snapshots.list()) await cove.snapshots.delete(id)
    rmSync(file, { force: true })
  })
  afterAll(async () => {
    rmSync(folder, { recursive: true })
    await daemon[Symbol.asyncDispose]()
  })

  it.for(['oci', 'docker'])('are images for others, and snapshots again: %s', async (format, context) => {
    const missing = noRuntime('crun')
    if (missing !== undefined) context.skip(missing)
    await using image = await SmallImage.make()
    const box = await cove.sandboxes.create({ template: image.template, driver: 'crun' })
    await box.run(['sh', '-c', 'echo kept > /home/user/note; chmod 640 /home/user/note'])
    await cove.snapshots.create(box.id, { name: 'ready' })
    expect(await daemon.cove(['snapshot', 'export', 'ready', '-o', file, '--format', format])).toEqual({
      status: 0,
      stdout: '',
      stderr: '',
    })
    expect(statSync(file).mode & 0o777).toBe(0o600)
    await cove.snapshots.delete('ready')
    await box.delete()
    const told = inspect(`${format}-archive:${file}`)
    expect(told).toMatchObject({ Os: 'linux', Layers: [expect.any(String), expect.any(String)] })
    const { stdout, status } = await daemon.cove(['snapshot', 'import', file, '--name', 'again'])
    expect(status).toBe(0)
    expect(await cove.snapshots.get('again')).toMatchObject({
      id: stdout.trim(),
      kind: 'filesystem',
      template: 'import',
    })
    for (const driver of ['crun', 'bubblewrap']) {
      await using child = await cove.sandboxes.create({ snapshot: 'again', driver })
      const look = await child.run(['sh', '-c', 'cat /home/user/note; stat -c "%a %U" /home/user/note'])
      expect(look.stdout).toBe('kept\n640 user\n')
    }
  })

  it('of the host hold what was written over it, say so, and come back as that', async () => {
    await using box = await cove.sandboxes.create({ driver: 'bubblewrap' })
    await box.files.write('/home/user/note', 'kept')
    await cove.snapshots.create(box.id, { name: 'ready' })
    const saved = await daemon.cove(['snapshot', 'export', 'ready', '-o', file])
    expect(saved).toMatchObject({ status: 0, stderr: expect.stringContaining('over the programs of this host') })
    const archive = await cove.snapshots.export('ready')
    expect(archive.base).toBe('host')
    const { id } = await cove.snapshots.import(archive.content)
    await using child = await cove.sandboxes.create({ snapshot: id })
    expect(await child.files.readText('/home/user/note')).toBe('kept')
    expect((await child.run(['python3', '-c', 'print(6*7)'])).stdout).toBe('42\n')
  })

  it.each<[string, (whole: Buffer) => Uint8Array]>([
    ['nothing', () => Buffer.alloc(0)],
    ['no archive', () => Buffer.from('hello'.repeat(1000))],
    ['half of one', (whole) => whole.subarray(0, whole.length / 2)],
    [
      'one with other bytes',
      (whole) => Buffer.from(whole.map((byte, at) => (at > 2048 && at < 4096 ? byte ^ 1 : byte))),
    ],
  ])('that are %s make no snapshot', async (_name, broken) => {
    await using box = await cove.sandboxes.create({ driver: 'bubblewrap' })
    await box.run(['sh', '-c', 'head -c 100000 /dev/urandom > /home/user/data'])
    const { id } = await cove.snapshots.create(box.id)
    const { content } = await cove.snapshots.export(id)
    writeFileSync(file, broken(Buffer.concat(await Array.fromAsync(content))))
    const failed = await daemon.cove(['snapshot', 'import', file, '--name', 'bad'])
    expect(failed).toMatchObject({ status: 1, stderr: expect.stringMatching(/^error: .*\nfix: /) })
    expect((await cove.snapshots.list()).map((one) => one.id)).toEqual([id])
    await expect(cove.snapshots.import(readFileSync(file), { name: 'bad' })).rejects.toMatchObject({
      code: 'image-invalid',
    })
  })

  it('are for members, and written down', async () => {
    await using box = await cove.sandboxes.create({ driver: 'bubblewrap' })
    await cove.snapshots.create(box.id, { name: 'ready' })
    const { secret } = await cove.keys.create({ name: 'looks', role: 'viewer' })
    const viewer = new Cove({ url: daemon.url, apiKey: secret })
    await expect(viewer.snapshots.export('ready')).rejects.toMatchObject({ code: 'permission-denied' })
    await expect(viewer.snapshots.import(Buffer.from(''))).rejects.toMatchObject({ code: 'permission-denied' })
    await expect(cove.snapshots.export('nothing')).rejects.toMatchObject({ code: 'snapshot-not-found' })
    await expect(cove.snapshots.import(Buffer.from(''), { name: 'No Name' })).rejects.toMatchObject({
      code: 'invalid-argument',
    })
    for await (const chunk of (await cove.snapshots.export('ready')).content) expect(chunk.length).toBeGreaterThan(0)
    const { stdout } = await daemon.cove(['audit', '--json'])
    expect(stdout).toContain('snapshots/export')
    expect(stdout).toContain('snapshots/import')
  })
})

/** What another tool finds there; where that is not installed, what it would have to. */
function inspect(archive: string): unknown {
  if (!existsSync(SKOPEO)) return { Os: 'linux', Layers: ['', ''] }
  return JSON.parse(execFileSync(SKOPEO, ['inspect', archive], { encoding: 'utf8' }))
}
