import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { TestDaemon } from './support/daemon.ts'
import { mountsBelow } from './support/mounts.ts'
import { SmallDisk } from './support/small-disk.ts'

const MiB = 1024 * 1024

describe.runIf(process.getuid?.() === 0)('a full disk of the node', () => {
  it('fails snapshots and volumes, says so, and leaves nothing of them', async () => {
    using disk = new SmallDisk(120 * MiB)
    await using daemon = await TestDaemon.start([], { below: disk.folder })
    const cove = daemon.client()
    await cove.volumes.create('data')
    const box = await cove.sandboxes.create({ name: 'box', volumes: [{ volume: 'data', path: '/data' }] })
    const fill = 'head -c $1 /dev/urandom > $2'
    await box.run(['sh', '-c', fill, 'sh', String(70 * MiB), '/home/user/big'])
    const free = disk.freeBytes
    expect(free).toBeLessThan(70 * MiB)
    await expect(cove.snapshots.create('box', { name: 'saved' })).rejects.toMatchObject({
      code: 'no-space',
      fix: expect.stringMatching(/./),
    })
    expect(await cove.snapshots.list()).toEqual([])
    await expect.poll(() => disk.freeBytes, { timeout: 10_000 }).toBeGreaterThan(free - 2 * MiB)
    await expect(cove.sandboxes.fork('box', { count: 2 })).rejects.toMatchObject({ code: 'no-space' })
    expect(await Array.fromAsync(cove.sandboxes.list())).toHaveLength(1)

    await box.run(['sh', '-c', fill, 'sh', String(25 * MiB), '/data/big'])
    await expect(cove.volumes.create('copy', { source: 'data' })).rejects.toMatchObject({ code: 'no-space' })
    expect((await cove.volumes.list()).map(({ name }) => name)).toEqual(['data'])
    expect(readdirSync(join(daemon.dataDir, 'volumes'))).toHaveLength(1)
    expect(mountsBelow(daemon.dataDir)).toEqual([])

    // The sandbox is as it was, and once there is room all of that works under the same names.
    await box.run([
      'sh',
      '-c',
      'rm /home/user/big; head -c 1000 /data/big > /home/user/small; rm /data/big; echo x > /data/x',
    ])
    await cove.snapshots.create('box', { name: 'saved' })
    await cove.volumes.create('copy', { source: 'data' })
    await using child = await cove.sandboxes.create({
      snapshot: 'saved',
      volumes: [{ volume: 'copy', path: '/data' }],
    })
    expect((await child.files.stat('/home/user/small')).size).toBe(1000)
    expect(await child.files.readText('/data/x')).toBe('x\n')
  })
})
