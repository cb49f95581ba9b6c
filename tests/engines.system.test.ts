import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Cove, Sandbox } from '@cove/sdk'
import { missingForContainerd, TestContainerd } from '@cove/containerd-engine/testing'
import { missingForDockerd, TestDockerd } from '@cove/docker-engine/testing'
import { TestDaemon } from './support/daemon.ts'
import { mountsBelow } from './support/mounts.ts'
import { SmallImage } from './support/small-image.ts'
import { machinePids } from './support/spine.ts'

const MiB = 1024 * 1024
/** The machine can be busy. */
const PATIENCE = { timeout: 20_000 }
const ENGINES = ['docker', 'containerd'] as const

const missing = missingForDockerd() ?? missingForContainerd()
if (missing !== undefined) console.log(`skipped: a daemon over container engines: ${missing}`)

async function says(sandbox: Sandbox, script: string, user?: string): Promise<string> {
  const { ok, stdout, stderr } = await sandbox.run(['sh', '-c', script], user === undefined ? {} : { user })
  if (!ok) throw new Error(`${script}: ${stderr}`)
  return stdout.trim()
}

describe.skipIf(missing !== undefined)('a daemon over container engines', () => {
  const stack = new AsyncDisposableStack()
  let docker: TestDockerd
  let containerd: TestContainerd
  let daemon: TestDaemon
  let cove: Cove

  beforeAll(async () => {
    const image = stack.use(await SmallImage.make())
    docker = stack.use(await TestDockerd.start(['--live-restore']))
    containerd = stack.use(await TestContainerd.start())
    daemon = stack.use(
      await TestDaemon.start(['--drivers', 'bubblewrap,docker,containerd', '--containerd-address', containerd.socket], {
        env: { DOCKER_HOST: `unix://${docker.socket}` },
      }),
    )
    cove = daemon.client()
    await buildTemplate(daemon, image.template)
  }, 120_000)
  afterEach(async () => {
    for (const { name } of await cove.pools.list()) await cove.pools.delete(name)
    for await (const { id } of cove.sandboxes.list()) await cove.sandboxes.delete(id)
    for (const { id } of await cove.snapshots.list()) await cove.snapshots.delete(id)
    for (const { id } of await cove.volumes.list()) await cove.volumes.delete(id)
  })
  afterAll(() => stack.disposeAsync(), 60_000)

  const create = (driver: string, more: Parameters<Cove['sandboxes']['create']>[0] = {}) =>
    cove.sandboxes.create({ template: 'box', driver, ...more })

  it.each(['bubblewrap', ...ENGINES])('%s starts what was built once', async (driver) => {
    const box = await create(driver, { name: 'first' })
    expect(box.info).toMatchObject({ driver, isolation: driver === 'bubblewrap' ? 'namespace' : 'container' })
    expect(await says(box, 'id -un; pwd; cat said; sh main.sh; hostname')).toBe(
      'user\n/app\nhello from home\nhello from home\nfirst',
    )
    const bytes = new Uint8Array(3 * MiB).map((_, index) => index % 251)
    await box.files.write('/home/user/data', bytes)
    expect(Buffer.compare(await box.files.read('/home/user/data'), bytes)).toBe(0)
    expect(await box.run(['sh', '-c', 'echo out; echo err >&2; exit 3'])).toMatchObject({
      stdout: 'out\n',
      stderr: 'err\n',
      exitCode: 3,
    })
    expect(await says(box, 'id -u; hostname', 'root')).toBe('0\nfirst')
  })

  it.each(ENGINES)('%s keeps the disk over stop and start', async (driver) => {
    const box = await create(driver, { name: 'kept' })
    await box.files.write('/home/user/note', 'kept\n')
    await box.start(['sleep', '1000'])
    await box.stop()
    const again = await cove.sandboxes.start('kept')
    expect(again.info).toMatchObject({ driver, incarnation: 2 })
    expect(await says(again, 'cat /home/user/note; cat said; hostname')).toBe('kept\nhello from home\nkept')
    expect(await says(again, 'ps')).not.toContain('sleep')
  })

  it('saves a sandbox of one driver and goes on with it on another', async () => {
    let from: { snapshot: string } | { template: string } = { template: 'box' }
    const drivers = ['bubblewrap', 'docker', 'containerd', 'bubblewrap']
    for (const [round, driver] of drivers.entries()) {
      await using box = await cove.sandboxes.create({ ...from, driver })
      const before = drivers.slice(0, round).map((name, index) => `${index} ${name}`)
      expect(await says(box, 'cat /home/user/notes 2>/dev/null || true')).toBe(before.join('\n'))
      expect(await says(box, 'stat -c "%a %U" /home/user/notes 2>/dev/null; ls /app')).toBe(
        round === 0 ? 'main.sh\nsaid' : '640 user\nmain.sh',
      )
      await says(box, `echo ${round} ${driver} >> /home/user/notes; chmod 640 /home/user/notes; rm -f /app/said`)
      from = { snapshot: (await cove.snapshots.create(box.id)).id }
    }
  })

  it.each(ENGINES)('%s forks the files of a sandbox', async (driver) => {
    const box = await create(driver, { name: 'parent', env: { COLOUR: 'red' } })
    await box.files.write('/home/user/note', 'kept\n')
    const { kind, sandboxes } = await cove.sandboxes.fork('parent', { count: 2 })
    expect([kind, sandboxes.length]).toEqual(['filesystem', 2])
    const names = new Set([await says(box, 'hostname')])
    for (const child of sandboxes) {
      expect(child.info.driver).toBe(driver)
      expect(await says(child, 'cat /home/user/note; echo $COLOUR')).toBe('kept\nred')
      names.add(await says(child, 'hostname'))
    }
    expect(names.size).toBe(3)
  })

  it.each(ENGINES)('%s pauses and resumes', async (driver) => {
    const box = await create(driver)
    await box.start(['sh', '-c', 'i=0; while :; do i=$((i+1)); echo $i > /tmp/count; sleep 0.02; done'])
    const count = async () => Number(await says(box, 'cat /tmp/count 2>/dev/null || echo 0'))
    await expect.poll(count, PATIENCE).toBeGreaterThan(2)
    await box.pause()
    const { cpuMs } = await box.stats()
    await expect(box.run(['true'])).rejects.toMatchObject({ code: 'wrong-state' })
    expect((await box.stats()).cpuMs).toBe(cpuMs)
    await box.resume()
    const at = await count()
    await expect.poll(count, PATIENCE).toBeGreaterThan(at)
  })

  it('shares a volume among all drivers, with the same owners', async () => {
    await cove.volumes.create('data', { sizeBytes: 16 * MiB })
    const volumes = [{ volume: 'data', path: '/data' }]
    const boxes = await Promise.all(['bubblewrap', ...ENGINES].map((driver) => create(driver, { volumes })))
    for (const box of boxes) await says(box, `echo ${box.info.driver} >> /data/notes; chmod 600 /data/notes`)
    for (const box of boxes) {
      expect(await says(box, 'cat /data/notes; stat -c %U /data/notes')).toBe('bubblewrap\ndocker\ncontainerd\nuser')
    }
    expect((await boxes[1]?.run(['dd', 'if=/dev/zero', 'of=/data/more', 'bs=1M', 'count=20']))?.stderr).toContain(
      'No space left',
    )
    const readOnly = await create('docker', { volumes: [{ volume: 'data', path: '/data', readOnly: true }] })
    expect((await readOnly.run(['touch', '/data/new'])).stderr).toContain('Read-only')
  })

  it.each(ENGINES)('%s holds limits, and refuses what it cannot hold', async (driver) => {
    const box = await create(driver, { limits: { memoryBytes: 96 * MiB, processes: 24, cpus: 0.5 } })
    expect(
      box.info.limits
        .filter(({ enforced }) => enforced)
        .map(({ name }) => name)
        .toSorted(),
    ).toEqual(['cpus', 'memoryBytes', 'processes'])
    const hog = await box.run(['sh', '-c', 'head -c 300000000 /dev/zero | tail -c 299999999 | wc -c'])
    expect(hog.stdout.trim()).not.toBe('299999999')
    const bomb = await box.run(['sh', '-c', 'i=0; while [ $i -lt 100 ]; do sleep 5 & i=$((i+1)); done; wait'])
    expect(bomb.stderr).toMatch(/fork/)
    expect(await says(box, 'echo alive')).toBe('alive')
    await box.updateLimits({ memoryBytes: 192 * MiB })
    await expect(create(driver, { limits: { diskBytes: 64 * MiB } })).rejects.toMatchObject({
      code: 'limit-not-enforceable',
    })
  })

  it.each(ENGINES)('%s gives machines out of a warm pool under the names that were asked for', async (driver) => {
    await cove.pools.set('ready', { template: 'box', driver, min: 2 })
    const pool = async () => (await cove.pools.list()).find(({ name }) => name === 'ready')
    await expect.poll(async () => (await pool())?.ready, PATIENCE).toBe(2)
    const warm = await create(driver, { name: 'warm' })
    expect(await says(warm, 'hostname; cat /etc/hostname; cat said')).toBe('warm\nwarm\nhello from home')
    expect(await pool()).toMatchObject({ asked: 1, served: 1, broken: 0 })
    await cove.pools.delete('ready')
    const cold = await create(driver, { name: 'cold' })
    const hosts = await says(cold, 'cat /etc/hosts')
    expect(await says(warm, 'cat /etc/hosts')).toBe(hosts.replaceAll('cold', 'warm'))
    await says(warm, 'echo kept > /home/user/note')
    await warm.stop()
    await cove.sandboxes.start('warm')
    expect(await says(warm, 'hostname; cat /home/user/note')).toBe('warm\nkept')
  })

  it.each(ENGINES)('%s refuses the host as a template, and says what to take instead', async (driver) => {
    await expect(cove.sandboxes.create({ driver })).rejects.toMatchObject({
      code: 'template-not-found',
      message: expect.stringMatching(new RegExp(`^${driver}: .*host`)) as string,
    })
    const told = await daemon.cove(['create', '--driver', driver])
    expect(told).toMatchObject({ status: 1, stdout: '' })
    expect(told.stderr).toMatch(/fix: .*template/)
  })

  it('takes the container that is there, and says what it has tried where nothing is', async () => {
    const box = await cove.sandboxes.create({ template: 'box', isolation: 'container' })
    expect(box.info.isolation).toBe('container')
    const told = await daemon.cove(['create', '--template', 'box', '--isolation', 'microvm'])
    expect(told.status).toBe(1)
    for (const driver of ENGINES) expect(told.stderr).toContain(`${driver}: its isolation is only container`)
    expect(told.stderr).toContain('bubblewrap: its isolation is only namespace')
    expect(told.stderr).toMatch(/fix: /)
  })

  it('adopts what runs when it is killed, and both engines with it', async () => {
    const boxes = await Promise.all(ENGINES.map((driver) => create(driver, { name: `box-${driver}` })))
    const processes = await Promise.all(
      boxes.map((box) => box.start(['sh', '-c', 'echo before; sleep 2; echo during; sleep 1000'])),
    )
    await daemon.end('SIGKILL')
    await docker.end('SIGKILL')
    await containerd.kill()
    await docker.startAgain()
    await containerd.restart()
    await daemon.start()
    cove = daemon.client()
    for (const [index, driver] of ENGINES.entries()) {
      const found = await cove.sandboxes.get(`box-${driver}`)
      expect(found.info).toMatchObject({ state: 'running', driver, incarnation: 1 })
      expect(await says(found, 'hostname')).toBe(`box-${driver}`)
      const id = processes[index]?.id ?? ''
      await expect.poll(async () => (await daemon.cove(['logs', `box-${driver}`, id])).stdout).toBe('before\nduring\n')
    }
  }, 60_000)

  it('goes on when an engine is killed under it and comes back', async () => {
    const boxes = await Promise.all(ENGINES.map((driver) => create(driver, { name: `under-${driver}` })))
    await docker.end('SIGKILL')
    await containerd.kill()
    const told = await daemon.cove(['create', '--template', 'box', '--driver', 'docker'])
    expect(told.status).toBe(1)
    expect(told.stderr).toMatch(/error: .*docker.*\nfix: /is)
    await docker.startAgain()
    await containerd.restart()
    for (const box of boxes) {
      await expect.poll(() => says(box, 'hostname').catch(String), PATIENCE).toBe(`under-${box.info.driver}`)
    }
    for (const driver of ENGINES) {
      await using fresh = await create(driver)
      expect(await says(fresh, 'cat said')).toBe('hello from home')
    }
  }, 60_000)

  it('leaves nothing in the engines but the images of what is kept', async () => {
    for (const driver of ENGINES) {
      const stopped = await create(driver)
      await stopped.stop()
      await cove.snapshots.create((await create(driver)).id, { name: `saved-${driver}` })
      await cove.sandboxes.create({ snapshot: `saved-${driver}`, driver })
      await cove.snapshots.delete(`saved-${driver}`)
    }
    const installation = readFileSync(join(daemon.dataDir, 'installation'), 'utf8').trim()
    expect((await daemon.cove(['down', '--all'])).status).toBe(0)
    await daemon.end('SIGTERM')
    using engine = await docker.open()
    expect(await engine.listContainers({})).toEqual([])
    using client = containerd.open(`cove-${installation}`)
    expect(await client.containers.list()).toEqual([])
    expect(await client.tasks.list()).toEqual([])
    await expect.poll(() => containerd.shims(), PATIENCE).toEqual([])
    await expect.poll(() => machinePids(installation), PATIENCE).toEqual([])
    expect(mountsBelow(daemon.dataDir)).toEqual([])
    expect((await client.snapshots.list()).filter(({ kind }) => kind !== 'committed')).toEqual([])
    expect((await client.leases.list()).filter(({ id }) => !id.startsWith('image-'))).toEqual([])
    const images = await engine.listImages({ reference: `cove-${installation}/*` })
    const tags = images.flatMap(({ tags: names }) => names)
    expect(tags.filter((tag) => !tag.startsWith(`cove-${installation}/image:`))).toEqual([])
    await daemon.start()
    cove = daemon.client()
    for (const driver of ENGINES) expect(await says(await create(driver), 'cat said')).toBe('hello from home')
  }, 60_000)
})

describe.skipIf(missing !== undefined)('a daemon whose engines are not there', () => {
  it('says so, and what to do', async () => {
    await using image = await SmallImage.make()
    const folder = mkdtempSync(join(tmpdir(), 'cove-test-'))
    try {
      await using daemon = await TestDaemon.start(
        ['--drivers', 'bubblewrap,docker,containerd', '--containerd-address', join(folder, 'c.sock')],
        { env: { DOCKER_HOST: `unix://${join(folder, 'd.sock')}` } },
      )
      for (const [driver, socket] of Object.entries({ docker: 'd.sock', containerd: 'c.sock' })) {
        const told = await daemon.cove(['create', '--template', image.template, '--driver', driver])
        expect(told.status).toBe(1)
        expect(told.stderr).toContain(join(folder, socket))
        expect(told.stderr).toMatch(/fix: \S+/)
      }
      const told = await daemon.cove(['create', '--template', image.template, '--isolation', 'container'])
      expect(told.stderr).toMatch(/docker: .*containerd: |containerd: .*docker: /s)
      expect((await daemon.cove(['run', '--template', image.template, 'sh', '-c', 'echo here'])).stdout).toBe('here\n')
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

async function buildTemplate(daemon: TestDaemon, source: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'cove-test-'))
  try {
    writeFileSync(join(folder, 'main.sh'), 'echo "hello from $PLACE"\n')
    writeFileSync(
      join(folder, 'cove.template.yaml'),
      [
        'name: box',
        `source: ${source}`,
        'steps:',
        '  - env: { PLACE: home }',
        '  - workdir: /app',
        '  - copy: main.sh:.',
        '  - run: sh main.sh > said; chown 1000 /app',
        '  - user: user',
        '',
      ].join('\n'),
    )
    const built = await daemon.cove(['template', 'build', folder, '--source', source])
    if (built.status !== 0) throw new Error(built.stderr)
  } finally {
    rmSync(folder, { recursive: true })
  }
}
