import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Cove, Sandbox } from '@cove/sdk'
import { runCove, TestDaemon } from './support/daemon.ts'
import { mountsBelow } from './support/mounts.ts'
import { noRuntime, SmallImage } from './support/small-image.ts'

const MiB = 1024 * 1024
const isRoot = process.getuid?.() === 0
const NOBODY = 65_534

const at = (volume: string, readOnly = false) => [{ volume, path: '/data', readOnly }]

async function sh(sandbox: Sandbox, script: string): Promise<string> {
  const { stdout, stderr } = await sandbox.run(['sh', '-c', script])
  return `${stdout}${stderr}`.trim()
}

/** Files behind mounts of volumes that are below the folder. */
function loops(daemon: TestDaemon): string[] {
  return execFileSync('/sbin/losetup', ['-l', '-n', '-O', 'BACK-FILE'], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line.startsWith(daemon.dataDir))
}

async function removeAll(cove: Cove): Promise<void> {
  for await (const { id } of cove.sandboxes.list()) await cove.sandboxes.delete(id)
  const volumes = await cove.volumes.list()
  for (const { id } of volumes) await cove.volumes.delete(id)
}

describe('volumes', () => {
  let daemon: TestDaemon
  let cove: Cove
  beforeAll(async () => {
    daemon = await TestDaemon.start()
    cove = daemon.client()
  })
  afterEach(() => removeAll(cove))
  afterAll(() => daemon[Symbol.asyncDispose]())

  it('are shared while they are used, and outlive their sandboxes', async () => {
    await cove.volumes.create('data')
    const one = await cove.sandboxes.create({ volumes: at('data') })
    const two = await cove.sandboxes.create({ volumes: at('data', true) })
    expect(await sh(one, 'echo hello > /data/note; id -un')).toBe('user')
    expect(await sh(two, 'cat /data/note')).toBe('hello')
    expect((await cove.volumes.get('data')).sandboxes.toSorted()).toEqual([one.id, two.id].toSorted())
    await one.delete()
    await two.delete()
    const later = await cove.sandboxes.create({ volumes: at('data') })
    expect(await sh(later, 'cat /data/note')).toBe('hello')
    await later.stop()
    await cove.sandboxes.start(later.id)
    expect(await sh(later, 'cat /data/note')).toBe('hello')
  })

  it('that are only to be read cannot be written by anybody inside', async () => {
    await cove.volumes.create('data')
    await using writer = await cove.sandboxes.create({ volumes: at('data') })
    await sh(writer, 'echo hello > /data/note')
    await using reader = await cove.sandboxes.create({ volumes: at('data', true) })
    const tries = 'echo x > /data/note; rm /data/note; touch /data/new; chmod 777 /data/note; mount -o remount,rw /data'
    for (const user of isRoot ? ['user', 'root'] : ['user']) {
      const result = await reader.run(['sh', '-c', tries], { user })
      expect(result.stderr.match(/Read-only file system/g)?.length).toBeGreaterThanOrEqual(4)
    }
    expect(await sh(writer, 'cat /data/note; ls /data')).toBe('hello\nnote')
    await cove.volumes.create('monday', { source: 'data', readOnly: true })
    await using other = await cove.sandboxes.create({ volumes: at('monday') })
    expect(await sh(other, 'cat /data/note; touch /data/new')).toMatch(/^hello\n.*Read-only file system/)
  })

  it('are not deleted while a sandbox has them, also a stopped one', async () => {
    const { id } = await cove.volumes.create('data')
    await expect(cove.volumes.create('data')).rejects.toMatchObject({ code: 'already-exists' })
    const box = await cove.sandboxes.create({ volumes: at('data') })
    await expect(cove.volumes.delete('data')).rejects.toMatchObject({
      code: 'wrong-state',
      context: { sandbox: box.id },
    })
    await box.stop()
    await expect(cove.volumes.delete(id)).rejects.toMatchObject({ code: 'wrong-state' })
    await box.delete()
    await cove.volumes.delete('data')
    await cove.volumes.delete(id)
    await expect(cove.sandboxes.create({ volumes: at('data') })).rejects.toMatchObject({ code: 'volume-not-found' })
    expect(readdirSync(join(daemon.dataDir, 'volumes'))).toEqual([])
  })

  it.each(['/proc/x', 'data', '/a/../b', '/data/', '/dev'])('are not put at %s', async (path) => {
    await cove.volumes.create('data')
    const volumes = [{ volume: 'data', path }]
    await expect(cove.sandboxes.create({ volumes })).rejects.toMatchObject({ code: 'invalid-argument' })
  })

  describe.runIf(isRoot)('with a size', () => {
    it('hold no more than that, for all who use them together', async () => {
      const made = await cove.volumes.create('data', { sizeBytes: 32 * MiB })
      expect(made).toMatchObject({ sizeBytes: 32 * MiB, enforced: true })
      await using one = await cove.sandboxes.create({ volumes: at('data') })
      await using two = await cove.sandboxes.create({ volumes: at('data') })
      await sh(one, 'head -c 20000000 /dev/zero > /data/a')
      expect(await sh(two, 'head -c 20000000 /dev/zero > /data/b')).toContain('No space left on device')
      expect((await cove.volumes.get('data')).usedBytes).toBeGreaterThan(20 * MiB)
      // A full volume fills nothing else.
      expect(await sh(two, 'echo here > /home/user/note && cat /home/user/note')).toBe('here')
      await one.delete()
      await two.delete()
      await expect.poll(() => mountsBelow(daemon.dataDir)).toEqual([])
      await using again = await cove.sandboxes.create({ volumes: at('data') })
      expect(await sh(again, 'stat -c %s /data/a')).toBe('20000000')
    })

    it('are copied as they are at one moment, while they are written to', async () => {
      await cove.volumes.create('data', { sizeBytes: 64 * MiB })
      await using box = await cove.sandboxes.create({ volumes: at('data') })
      await box.start([
        'sh',
        '-c',
        'i=0; while :; do i=$((i+1)); echo $i >> /data/first; echo $i >> /data/second; done',
      ])
      await sh(box, 'until [ -s /data/second ]; do sleep 0.05; done')
      await cove.volumes.create('copy', { source: 'data' })
      await using other = await cove.sandboxes.create({ volumes: at('copy') })
      const [first = 0, second = 0] = (await sh(other, 'tail -qn 1 /data/first /data/second')).split('\n').map(Number)
      expect(second).toBeGreaterThan(0)
      expect([0, 1]).toContain(first - second)
      const lines = await sh(box, 'wc -l < /data/first')
      await expect.poll(async () => Number(await sh(box, 'wc -l < /data/first'))).toBeGreaterThan(Number(lines))
      await sh(other, 'echo own > /data/own')
      expect(await sh(box, 'ls /data')).toBe('first\nsecond')
    })

    it('are mounted as long as they are used, also when the daemon is killed', async () => {
      await cove.volumes.create('used', { sizeBytes: 16 * MiB })
      await cove.volumes.create('idle', { sizeBytes: 16 * MiB })
      const box = await cove.sandboxes.create({ name: 'box', volumes: at('used') })
      const gone = await cove.sandboxes.create({ name: 'gone', volumes: at('idle') })
      await sh(box, 'echo kept > /data/note')
      expect(mountsBelow(daemon.dataDir)).toHaveLength(2)
      const deleting = gone.delete().catch(() => undefined)
      await daemon.end('SIGKILL')
      await deleting
      await daemon.start()
      cove = daemon.client()
      await cove.sandboxes.delete('gone')
      await expect.poll(() => mountsBelow(daemon.dataDir).length).toBe(1)
      const found = await cove.sandboxes.get('box')
      expect(await sh(found, 'cat /data/note; echo more >> /data/note')).toBe('kept')
      await found.delete()
      await expect.poll(() => mountsBelow(daemon.dataDir)).toEqual([])
      await expect.poll(() => loops(daemon)).toEqual([])
    })

    it('are all gone when the daemon is killed while one is being made', async () => {
      const cut = cove.volumes.create('half', { sizeBytes: 2048 * MiB }).catch(() => 'cut')
      await expect.poll(() => readdirSync(join(daemon.dataDir, 'volumes')).length, { interval: 2 }).toBe(1)
      await daemon.end('SIGKILL')
      await cut
      await daemon.start()
      cove = daemon.client()
      await expect.poll(async () => (await cove.volumes.list()).length).toBe(0)
      await expect.poll(() => readdirSync(join(daemon.dataDir, 'volumes'))).toEqual([])
      expect(mountsBelow(daemon.dataDir)).toEqual([])
      await expect.poll(() => loops(daemon)).toEqual([])
      expect((await cove.volumes.create('half', { sizeBytes: 16 * MiB })).enforced).toBe(true)
    })

    it('are unmounted by `cove down --all`', async () => {
      await using own = await TestDaemon.start()
      const client = own.client()
      await client.volumes.create('data', { sizeBytes: 16 * MiB })
      await client.sandboxes.create({ volumes: at('data') })
      expect(mountsBelow(own.dataDir)).toHaveLength(1)
      expect((await own.cove(['down', '--all'])).status).toBe(0)
      await own.end('SIGTERM')
      expect([mountsBelow(own.dataDir), loops(own)]).toEqual([[], []])
    })
  })
})

describe('a volume of sandboxes of different drivers', () => {
  it('is the same for both, with the same owners', async (context) => {
    const missing = noRuntime('crun')
    if (missing !== undefined) context.skip(missing)
    await using image = await SmallImage.make()
    await using daemon = await TestDaemon.start(['--drivers', 'bubblewrap,crun'])
    const cove = daemon.client()
    await cove.volumes.create('data', { sizeBytes: 16 * MiB })
    const one = await cove.sandboxes.create({ driver: 'bubblewrap', volumes: at('data') })
    const two = await cove.sandboxes.create({ driver: 'crun', template: image.template, volumes: at('data') })
    expect(await sh(one, 'echo one > /data/one && chmod 600 /data/one')).toBe('')
    expect(await sh(two, 'cat /data/one; stat -c %U /data/one')).toBe('one\nuser')
    expect(await sh(two, 'echo two > /data/two; chmod 600 /data/two')).toBe('')
    expect(await sh(one, 'cat /data/two')).toBe('two')
  })
})

describe.runIf(isRoot)('volumes of an ordinary user', () => {
  it('have no size that could not be kept, and are shared and kept as others are', async (context) => {
    const runs = await runCove(['version'], { uid: NOBODY }).catch(() => undefined)
    if (runs?.status !== 0) context.skip('other users cannot read this checkout')
    await using daemon = await TestDaemon.start([], { uid: NOBODY })
    const cove = daemon.client()
    await expect(cove.volumes.create('sized', { sizeBytes: 16 * MiB })).rejects.toMatchObject({
      code: 'limit-not-enforceable',
    })
    expect(await cove.volumes.list()).toEqual([])
    await cove.volumes.create('data')
    const one = await cove.sandboxes.create({ volumes: at('data') })
    const two = await cove.sandboxes.create({ volumes: at('data', true) })
    expect(await sh(one, 'echo hello > /data/note')).toBe('')
    expect(await sh(two, 'cat /data/note; touch /data/new')).toMatch(/^hello\n.*Read-only/)
    await cove.volumes.create('copy', { source: 'data' })
    await one.delete()
    await two.delete()
    await cove.volumes.delete('data')
    expect(readdirSync(join(daemon.dataDir, 'volumes'))).toHaveLength(1)
  })
})
