import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Cove, PoolInfo, Sandbox } from '@cove/sdk'
import { TestDaemon } from './support/daemon.ts'
import { machinePids } from './support/spine.ts'

async function says(sandbox: Sandbox, script: string): Promise<string> {
  const { ok, stdout, stderr } = await sandbox.run(['sh', '-c', script])
  if (!ok) throw new Error(`${script}: ${stderr}`)
  return stdout.trim()
}

describe('warm pools', () => {
  let daemon: TestDaemon
  let cove: Cove
  beforeAll(async () => {
    daemon = await TestDaemon.start()
    cove = daemon.client()
  })
  afterEach(async () => {
    for (const { name } of await cove.pools.list()) await cove.pools.delete(name)
    for await (const { id } of cove.sandboxes.list()) await cove.sandboxes.delete(id)
  })
  afterAll(() => daemon[Symbol.asyncDispose]())

  const pool = async (name: string): Promise<PoolInfo | undefined> =>
    (await cove.pools.list()).find((one) => one.name === name)
  const filled = async (name: string, ready: number): Promise<void> => {
    await expect.poll(async () => (await pool(name))?.ready, { timeout: 20_000 }).toBe(ready)
  }
  const machines = () => machinePids(readFileSync(join(daemon.dataDir, 'installation'), 'utf8').trim())

  it('give machines that are ready, and are filled again', async () => {
    await cove.pools.set('ready', { template: 'host', min: 2 })
    await filled('ready', 2)
    const one = await cove.sandboxes.create({ name: 'one' })
    await using _two = await cove.sandboxes.create()
    expect(await says(one, 'echo here; id -un')).toBe('here\nuser')
    await filled('ready', 2)
    expect(await pool('ready')).toMatchObject({ asked: 2, served: 2, broken: 0, driver: 'bubblewrap' })
    // One that asks for something else gets one of its own.
    await using _three = await cove.sandboxes.create({
      network: 'none',
      driver: 'bubblewrap',
      snapshot: (await cove.snapshots.create('one', { name: 'saved' })).id,
    })
    expect(await pool('ready')).toMatchObject({ asked: 2, ready: 2 })
    await cove.snapshots.delete('saved')
    await cove.pools.delete('ready')
    expect(await says(one, 'echo still')).toBe('still')
    await one.stop()
    await cove.sandboxes.start('one')
    expect(await says(one, 'echo again')).toBe('again')
  })

  it('give what cannot be told from a cold one', async () => {
    const wish = { env: { COLOUR: 'red' }, labels: { team: 'a' } }
    const cold = await cove.sandboxes.create({ ...wish, name: 'cold' })
    await cove.pools.set('ready', { template: 'host', min: 2 })
    await filled('ready', 2)
    const warm = await cove.sandboxes.create({ ...wish, name: 'warm' })
    const other = await cove.sandboxes.create(wish)
    expect((await pool('ready'))?.served).toBe(2)
    const facts = (sandbox: Sandbox): Promise<string> =>
      says(
        sandbox,
        'env | grep -v -e COVE -e HOSTNAME | sort; id; pwd; ulimit -a; ls -A / /tmp /run $HOME; cat /proc/sys/kernel/ostype; ps -eo comm | sort; cat /etc/passwd; stat -c "%a %U %n" /tmp $HOME',
      )
    expect(await facts(warm)).toBe(await facts(cold))
    expect(await says(warm, 'hostname; cat /etc/hostname')).toBe('warm\nwarm')
    const hosts = await Promise.all([warm, cold].map((one) => says(one, 'cat /etc/hosts /etc/resolv.conf')))
    expect(hosts[0]?.replaceAll('warm', 'cold')).toBe(hosts[1])
    expect(await says(other, 'hostname')).toBe(other.id)
    expect(await says(other, 'env')).not.toContain('=warm')
    const random = await Promise.all(
      [warm, other, cold].map((one) =>
        says(one, 'head -c 16 /dev/urandom | od -tx1; cat /proc/sys/kernel/random/boot_id'),
      ),
    )
    expect(new Set(random.map((text) => text.split('\n')[0])).size).toBe(3)
    const clock = Number(await says(warm, 'date +%s%3N'))
    expect(Math.abs(clock - Date.now())).toBeLessThan(5_000)
    // It began when it was asked for, not when its machine was made.
    expect(warm.info.createdAt.getTime()).toBeGreaterThanOrEqual(cold.info.createdAt.getTime())
    expect({ ...warm.info, id: '', name: '', createdAt: 0, changedAt: 0 }).toMatchObject({
      state: cold.info.state,
      driver: cold.info.driver,
      isolation: cold.info.isolation,
      limits: cold.info.limits,
      incarnation: 1,
      labels: { team: 'a' },
    })
  })

  it('never give one that has ended, and are empty for nobody', async () => {
    await cove.pools.set('ready', { template: 'host', min: 1, max: 3 })
    await filled('ready', 1)
    const made = await Promise.all(Array.from({ length: 6 }, () => cove.sandboxes.create()))
    expect(new Set(await Promise.all(made.map((one) => says(one, 'hostname')))).size).toBe(6)
    const { asked = 0, served = 0 } = (await pool('ready')) ?? {}
    expect(asked).toBe(6)
    expect(served).toBeGreaterThan(0)
  })

  it('leave no machine when the daemon is killed', async () => {
    await cove.pools.set('ready', { template: 'host', min: 3 })
    await filled('ready', 3)
    const box = await cove.sandboxes.create({ name: 'box' })
    await box.files.write('/home/user/note', 'kept')
    await daemon.end('SIGKILL')
    await daemon.start()
    cove = daemon.client()
    const found = await cove.sandboxes.get('box')
    expect(await found.files.readText('/home/user/note')).toBe('kept')
    await filled('ready', 3)
    await cove.pools.delete('ready')
    await found.delete()
    await expect.poll(async () => (await daemon.cove(['ls', '-q'])).stdout).toBe('')
    await expect.poll(machines, { timeout: 20_000 }).toEqual([])
  })

  it('say why they cannot be filled', async () => {
    await cove.pools.set('never', { template: 'directory:/nonexistent', min: 1 })
    await expect.poll(async () => (await pool('never'))?.problem, { timeout: 20_000 }).toMatch(/nonexistent/)
    await expect(cove.pools.set('bad', { template: 'host', min: 5, max: 2 })).rejects.toMatchObject({
      code: 'invalid-argument',
    })
    await expect(cove.pools.set('bad', { template: 'nothing', min: 1 })).rejects.toMatchObject({
      code: 'template-not-found',
    })
  })
})
