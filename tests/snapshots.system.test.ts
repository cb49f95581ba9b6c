import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Cove, Sandbox } from '@cove/sdk'
import { TestDaemon } from './support/daemon.ts'
import { mountsBelow } from './support/mounts.ts'
import { noRuntime, SmallImage } from './support/small-image.ts'

const MiB = 1024 * 1024

/** What one command in it prints; it has to succeed. */
async function says(sandbox: Sandbox, ...argv: string[]): Promise<string> {
  const { ok, stdout, stderr } = await sandbox.run(argv)
  if (!ok) throw new Error(`${argv.join(' ')}: ${stderr}`)
  return stdout.trim()
}

const colourOf = (sandbox: Sandbox): Promise<string> => says(sandbox, 'sh', '-c', 'echo $COLOUR')

async function removeAll(cove: Cove): Promise<void> {
  for await (const { id } of cove.sandboxes.list()) await cove.sandboxes.delete(id)
  for (const { id } of await cove.snapshots.list()) await cove.snapshots.delete(id)
}

/** What the image store keeps on the disk; the same again once nothing needs it. */
function storedLayers(daemon: TestDaemon): string[] {
  const folder = join(daemon.dataDir, 'images/l')
  return existsSync(folder) ? readdirSync(folder) : []
}

describe('snapshots of files', () => {
  let daemon: TestDaemon
  let cove: Cove
  beforeAll(async () => {
    daemon = await TestDaemon.start()
    cove = daemon.client()
  })
  afterEach(() => removeAll(cove))
  afterAll(() => daemon[Symbol.asyncDispose]())

  it('are what sandboxes start from, also when the one that was saved is gone', async () => {
    const box = await cove.sandboxes.create({ name: 'box', env: { COLOUR: 'red' } })
    await box.files.write('/home/user/note', 'first')
    await box.run(['ln', '-s', 'note', '/home/user/link'])
    await box.run(['sh', '-c', 'mkdir -m 700 /home/user/own && echo x > /home/user/own/x && chmod +x /home/user/own/x'])
    const snapshot = await cove.snapshots.create('box', { name: 'ready' })
    await box.files.write('/home/user/note', 'second')
    await box.delete()
    await using one = await cove.sandboxes.create({ snapshot: 'ready' })
    await using two = await cove.sandboxes.create({ snapshot: snapshot.id, env: { COLOUR: 'blue' } })
    expect(await one.files.readText('/home/user/link')).toBe('first')
    expect(await says(one, 'stat', '-c', '%a %U', '/home/user/own', '/home/user/own/x')).toBe('700 user\n755 user')
    expect([await colourOf(one), await colourOf(two)]).toEqual(['red', 'blue'])
    await one.files.write('/home/user/note', 'changed')
    expect(await two.files.readText('/home/user/note')).toBe('first')
    await cove.snapshots.delete('ready')
    expect(await two.files.readText('/home/user/note')).toBe('first')
    await two.stop()
    const again = await cove.sandboxes.start(two.id)
    expect(again.info.state).toBe('running')
    expect(await two.files.readText('/home/user/note')).toBe('first')
  })

  it('of snapshots hold what was removed as removed', async () => {
    await using box = await cove.sandboxes.create()
    await box.files.write('/home/user/a', 'a')
    await box.files.write('/home/user/folder/b', 'b')
    await cove.snapshots.create(box.id, { name: 'one' })
    await using child = await cove.sandboxes.create({ snapshot: 'one' })
    await child.run(['sh', '-c', 'rm -r a folder; mkdir folder; echo c > folder/c'])
    await cove.snapshots.create(child.id, { name: 'two' })
    await cove.snapshots.delete('one')
    await using grandchild = await cove.sandboxes.create({ snapshot: 'two' })
    expect(await says(grandchild, 'find', '/home/user', '-type', 'f', '-newer', '/etc/hostname')).not.toContain('/b')
    expect(await says(grandchild, 'ls', '/home/user', '/home/user/folder')).not.toMatch(/^a$/m)
    expect(await grandchild.files.readText('/home/user/folder/c')).toBe('c\n')
  })

  it('forks have the files and no processes, and everything of the parent but its name', async () => {
    await using box = await cove.sandboxes.create({ name: 'parent', env: { COLOUR: 'red' }, labels: { team: 'a' } })
    await box.files.write('/home/user/note', 'kept')
    await box.start(['sleep', '1000'])
    const { kind, sandboxes } = await cove.sandboxes.fork('parent', { count: 3, labels: { role: 'child' } })
    expect([kind, sandboxes.length]).toEqual(['filesystem', 3])
    const names = new Set<string>()
    for (const child of sandboxes) {
      expect(child.info).toMatchObject({ state: 'running', labels: { team: 'a', role: 'child' } })
      expect(await child.files.readText('/home/user/note')).toBe('kept')
      expect(await colourOf(child)).toBe('red')
      expect((await child.run(['pgrep', 'sleep'])).ok).toBe(false)
      names.add(await says(child, 'hostname'))
    }
    expect(names.size).toBe(3)
    expect((await box.run(['pgrep', 'sleep'])).ok).toBe(true)
    expect(await cove.snapshots.list()).toEqual([])
  })

  it('are of one moment while files are being written', async () => {
    await using box = await cove.sandboxes.create()
    // Each line stands in `second` only after it stands in `first`: never the other way round.
    const writer = 'i=0; while :; do i=$((i+1)); echo $i >> first; echo $i >> second; done'
    await box.start(['sh', '-c', writer], { cwd: '/home/user' })
    await box.run(['sh', '-c', 'until [ -s /home/user/second ]; do sleep 0.05; done'])
    for (let round = 0; round < 3; round++) {
      const { id } = await cove.snapshots.create(box.id)
      await using child = await cove.sandboxes.create({ snapshot: id })
      const [first, second] = await Promise.all(
        ['first', 'second'].map(async (name) =>
          (await child.files.readText(`/home/user/${name}`)).trimEnd().split('\n'),
        ),
      )
      expect(Number(first?.at(-1)) - Number(second?.at(-1))).toBeLessThanOrEqual(1)
      expect(Number(first?.at(-1)) - Number(second?.at(-1))).toBeGreaterThanOrEqual(0)
    }
    // And the writer goes on.
    const size = (await box.files.stat('/home/user/first')).size
    await expect.poll(async () => (await box.files.stat('/home/user/first')).size).toBeGreaterThan(size)
  })

  it('can be taken of a sandbox whose disk has a size', async (context) => {
    if (process.getuid?.() !== 0) context.skip('only root can give disks a size')
    await using box = await cove.sandboxes.create({ limits: { diskBytes: 64 * MiB } })
    await box.run(['sh', '-c', 'head -c 8388608 /dev/urandom > /home/user/data'])
    const sum = await says(box, 'sha256sum', '/home/user/data')
    const snapshot = await cove.snapshots.create(box.id)
    expect(snapshot.bytes).toBeGreaterThan(8 * MiB)
    await using child = await cove.sandboxes.create({ snapshot: snapshot.id })
    expect(await says(child, 'sha256sum', '/home/user/data')).toBe(sum)
    // The size is the child's too, and what it starts from does not count.
    expect(child.info.limits.find(({ name }) => name === 'diskBytes')).toMatchObject({
      value: 64 * MiB,
      enforced: true,
    })
    const full = await child.run(['sh', '-c', 'head -c 100000000 /dev/zero > /home/user/more'])
    expect(full.stderr).toContain('No space left')
  })

  it('are refused of what does not run and of what is not there', async () => {
    await using box = await cove.sandboxes.create({ name: 'halted' })
    await box.stop()
    await expect(cove.snapshots.create('halted')).rejects.toMatchObject({ code: 'wrong-state' })
    await expect(cove.snapshots.create('nobody')).rejects.toMatchObject({ code: 'sandbox-not-found' })
    await expect(cove.snapshots.create('halted', { kind: 'memory' })).rejects.toMatchObject({ code: 'wrong-state' })
    await expect(cove.sandboxes.create({ snapshot: 'nothing' })).rejects.toMatchObject({ code: 'snapshot-not-found' })
  })

  it('leave nothing when the daemon is killed in the middle of one', async () => {
    const box = await cove.sandboxes.create({ name: 'big' })
    await box.run(['sh', '-c', 'head -c 200000000 /dev/urandom > /home/user/data'])
    const before = storedLayers(daemon)
    const cut = cove.snapshots.create('big', { name: 'half' }).catch(() => 'cut')
    await expect.poll(() => storedLayers(daemon).length, { interval: 5 }).toBeGreaterThan(before.length)
    await daemon.end('SIGKILL')
    expect(await cut).toBe('cut')
    await daemon.start()
    cove = daemon.client()
    expect(await cove.snapshots.list()).toEqual([])
    await expect.poll(() => storedLayers(daemon)).toEqual(before)
    // Its name is free, and the sandbox is as it was.
    expect((await cove.sandboxes.get('big')).info).toMatchObject({ state: 'running', incarnation: 1 })
    const { id } = await cove.snapshots.create('big', { name: 'half' })
    await using child = await cove.sandboxes.create({ snapshot: id })
    expect((await child.files.stat('/home/user/data')).size).toBe(200_000_000)
    expect(mountsBelow(daemon.dataDir)).toEqual([])
  })
})

describe('forks with memory', () => {
  it('keep a running process and give each child an identity of its own', async (context) => {
    const missing = noRuntime('runsc')
    if (missing !== undefined) context.skip(missing)
    await using image = await SmallImage.make()
    await using daemon = await TestDaemon.start(['--drivers', 'bubblewrap,gvisor'])
    const cove = daemon.client()
    const box = await cove.sandboxes.create({
      driver: 'gvisor',
      template: image.template,
      name: 'parent',
      env: { COLOUR: 'red' },
    })
    await box.start(['sh', '-c', 'i=0; while :; do i=$((i+1)); echo $i > /tmp/count; sleep 0.1; done'])
    await box.run(['sh', '-c', 'until [ -s /tmp/count ]; do sleep 0.1; done'])
    const { kind, sandboxes } = await cove.sandboxes.fork('parent', { count: 2 })
    expect([kind, sandboxes.length]).toEqual(['memory', 2])
    const names = new Set([await says(box, 'hostname')])
    const numbers = new Set([await says(box, 'head', '-c', '16', '/dev/urandom').then((text) => text)])
    for (const child of sandboxes) {
      const at = Number(await child.files.readText('/tmp/count'))
      expect(at).toBeGreaterThan(0)
      await expect.poll(async () => Number(await child.files.readText('/tmp/count'))).toBeGreaterThan(at)
      names.add(await says(child, 'hostname'))
      numbers.add(await says(child, 'head', '-c', '16', '/dev/urandom'))
      expect(await colourOf(child)).toBe('red')
      await child.files.write('/tmp/own', child.id)
    }
    expect([names.size, numbers.size]).toEqual([3, 3])
    for (const child of sandboxes) expect(await child.files.readText('/tmp/own')).toBe(child.id)
    // The parent's end is not theirs, nor is the daemon's.
    await box.delete()
    await daemon.end('SIGKILL')
    await daemon.start()
    for (const { id } of sandboxes) {
      const child = await daemon.client().sandboxes.get(id)
      expect(await child.files.readText('/tmp/own')).toBe(id)
    }
    expect(await daemon.client().snapshots.list()).toEqual([])
  })
})
