import { Readable } from 'node:stream'
import { createHash } from 'node:crypto'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  newMachineId,
  newProcessId,
  newSandboxId,
  silentLog,
  type BuildEvent,
  type BuildRequest,
  type BuildStep,
  type Driver,
  type Guest,
  type ImageInfo,
  type ImageStore,
  type SandboxSpec,
} from '@cove/domain'
import { systemClock, systemRandom } from '@cove/domain/system'
import { createBubblewrapDriver, createOciDriver } from '@cove/drivers'
import { openImageStore } from '@cove/images'
import { openLauncher, type Launcher } from '@cove/runner'
import { MemoryStore } from '@cove/store'
import { openNode } from '../src/index.ts'
import type { CoveNode } from '../src/cove-node.ts'

const built = (name: string): string => fileURLToPath(new URL(`../../../build/${name}`, import.meta.url))
const GUEST = built('cove-guest')
const LAYERS = built('cove-layers')
const BUSYBOX = '/bin/busybox'
const DRIVERS = [
  { name: 'bubblewrap', tool: '/usr/bin/bwrap' },
  { name: 'crun', tool: '/usr/bin/crun' },
] as const

const missing = [
  ...(process.getuid?.() === 0 ? [] : ['root']),
  ...[GUEST, LAYERS, BUSYBOX, ...DRIVERS.map(({ tool }) => tool)].filter((path) => !existsSync(path)),
]
if (missing.length > 0) console.log(`builds on real machines are skipped: no ${missing.join(', no ')}`)

/** Everything that a daemon has below one folder. */
class Place {
  readonly folder = mkdtempSync(join(tmpdir(), 'cove-test-'))
  readonly store = new MemoryStore({ clock: systemClock })
  readonly installation = newMachineId(systemRandom)
  launcher: Launcher | undefined
  images: ImageStore | undefined
  node: CoveNode | undefined

  async open(): Promise<CoveNode> {
    const { folder, installation, store } = this
    const launcher = await openLauncher({ binary: GUEST, stateDir: join(folder, 'l'), installation, idleMs: 2_000 })
    const parts = { launcher, guestProgram: GUEST, installation }
    const drivers: Driver[] = [
      createBubblewrapDriver({ ...parts, stateDir: join(folder, 'b') }),
      createOciDriver({ ...parts, stateDir: join(folder, 'c'), runtime: 'crun' }),
    ]
    const images = await openImageStore({ folder: join(folder, 'i'), layersProgram: LAYERS, clock: systemClock })
    this.launcher = launcher
    this.images = images
    this.node = await openNode({
      name: 'here',
      drivers,
      images,
      store,
      clock: systemClock,
      random: systemRandom,
      log: silentLog,
      buildsFolder: join(folder, 'builds'),
    })
    return this.node
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.node?.settled()
    await this.node?.close()
    await this.images?.[Symbol.asyncDispose]()
    await this.launcher?.stopLauncher()
    await this.launcher?.close()
    rmSync(this.folder, { recursive: true })
  }
}

/** A root with busybox in it and nothing else. */
function smallRoot(folder: string): string {
  const root = join(folder, 'root')
  for (const name of ['bin', 'etc', 'tmp', 'dev', 'proc', 'sys', 'run', 'root', 'home/user']) {
    mkdirSync(join(root, name), { recursive: true })
  }
  writeFileSync(join(root, 'bin/busybox'), readFileSync(BUSYBOX), { mode: 0o755 })
  for (const name of ['sh', 'cat', 'echo', 'id', 'ls', 'mkdir', 'nc', 'pwd', 'rm', 'sleep', 'stat', 'true', 'env']) {
    symlinkSync('busybox', join(root, 'bin', name))
  }
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n')
  writeFileSync(join(root, 'etc/group'), 'root:x:0:\nuser:x:1000:\n')
  writeFileSync(join(root, 'etc/old'), 'to be removed\n')
  return root
}

/** Of the steps; what fetching the source says comes before them. */
function textOf(events: readonly BuildEvent[]): string {
  const first = events.findIndex(({ type }) => type === 'step')
  return events
    .slice(first)
    .map((event) => (event.type === 'log' ? event.text : ''))
    .join('')
}

function imageOf(events: readonly BuildEvent[]): ImageInfo {
  const last = events.at(-1)
  if (last?.type === 'done') return last.image
  throw new Error(last?.type === 'failed' ? `${last.code}: ${last.message}` : 'no end')
}

async function runIn(guest: Guest, command: string): Promise<string> {
  const { events } = await guest.start({ id: newProcessId(systemRandom), argv: ['/bin/sh', '-c', command], env: {} })
  let text = ''
  for await (const event of events) if (event.type === 'output') text += Buffer.from(event.data).toString('utf8')
  return text
}

function spec(changes: Partial<SandboxSpec>): SandboxSpec {
  return {
    id: newSandboxId(systemRandom),
    project: 'default',
    template: 'test',
    from: { kind: 'host' },
    volumes: [],
    limits: {},
    network: { kind: 'none' },
    env: {},
    labels: {},
    idleTimeout: 'never',
    lifetime: 'never',
    createdAt: systemClock.now(),
    ...changes,
  }
}

describe.skipIf(missing.length > 0)('a template built on real machines', () => {
  const place = new Place()
  let node: CoveNode
  let source = ''
  let context = ''

  beforeAll(async () => {
    node = await place.open()
    source = `directory:${smallRoot(place.folder)}`
    const files = join(place.folder, 'files')
    mkdirSync(join(files, 'sub'), { recursive: true })
    writeFileSync(join(files, 'hello.sh'), '#!/bin/sh\necho "hello $NAME"\n', { mode: 0o755 })
    writeFileSync(join(files, 'sub/data'), 'data\n')
    const tar = execFileSync('/usr/bin/tar', ['-C', files, '-c', '.'])
    context = `sha256:${createHash('sha256').update(tar).digest('hex')}`
    await node.builds.putContext(context, Readable.from([tar]), AbortSignal.timeout(10_000))
  }, 60_000)
  afterAll(() => place[Symbol.asyncDispose](), 60_000)

  async function build(id: string, driver: string, steps: readonly BuildStep[], more: Partial<BuildRequest> = {}) {
    const from = { kind: 'source', source } as const
    await node.builds.start({ id, from, steps, network: { kind: 'none' }, limits: {}, driver, ...more })
    return await Array.fromAsync(node.builds.follow(id, 0, AbortSignal.timeout(60_000)))
  }

  it.each(DRIVERS)(
    'with $name has what its steps did, nothing that they removed, and is not built twice',
    async ({ name }) => {
      const steps: readonly BuildStep[] = [
        { kind: 'env', env: { NAME: name } },
        { kind: 'workdir', path: '/app' },
        { kind: 'copy', context, to: '.' },
        { kind: 'run', command: './hello.sh > greeting; rm /etc/old; mkdir -p /opt/deep; id -u' },
        { kind: 'run', command: 'cat greeting sub/data; ls /etc/old 2>/dev/null; rm -r sub' },
        { kind: 'user', user: 'user' },
      ]
      const events = await build(`first-${name}`, name, steps)
      expect(imageOf(events).defaults).toMatchObject({ workdir: '/app', user: 'user' })
      expect(textOf(events)).toBe(`0\nhello ${name}\ndata\n`)
      const again = await build(`second-${name}`, name, steps)
      expect(again.filter(({ type }) => type === 'step')).toMatchObject(steps.map(() => ({ cached: true })))
      expect(again.at(-1)).toEqual(events.at(-1))
      const image = imageOf(events).id
      for (const { name: driver } of DRIVERS) {
        const wish = spec({ from: { kind: 'image', image }, driver })
        await node.create({ spec: wish, incarnation: 1 })
        const guest = await node.guest(wish.id, 1)
        expect(
          await runIn(
            guest,
            'pwd; id -u; cat greeting; ls /etc/old 2>/dev/null; ls /opt; ls; stat -c %u /app/hello.sh',
          ),
        ).toBe(`/app\n1000\nhello ${name}\ndeep\ngreeting\nhello.sh\n0\n`)
        await node.destroy(wish.id)
      }
    },
    120_000,
  )

  it.each(DRIVERS)(
    'with $name runs its start command in every sandbox, and tells why it is not ready',
    async ({ name }) => {
      const serve = { argv: ['/bin/sh', '-c', 'while true; do nc -l -p 8000 -e /bin/cat; done'] } as const
      const start = { ...serve, ready: { kind: 'port', port: 8000, timeoutMs: 20_000 } } as const
      const events = await build(`start-${name}`, name, [{ kind: 'run', command: 'true' }], { start })
      const image = imageOf(events).id
      const from = { kind: 'image', image } as const
      const wish = spec({ from, driver: name, start })
      await node.create({ spec: wish, incarnation: 1 })
      const guest = await node.guest(wish.id, 1)
      expect(await guest.processes()).toMatchObject([{ id: 'start', argv: serve.argv }])
      await node.destroy(wish.id)

      const bad = spec({
        from,
        driver: name,
        start: {
          argv: ['/bin/sh', '-c', 'echo out of luck; exit 3'],
          ready: { kind: 'port', port: 1, timeoutMs: 20_000 },
        },
      })
      await expect(node.create({ spec: bad, incarnation: 1 })).rejects.toMatchObject({
        code: 'start-failed',
        message: expect.stringMatching(/exited with code 3.*\n?.*out of luck/s),
      })
      const late = spec({
        from,
        driver: name,
        start: { argv: ['/bin/sleep', '60'], ready: { kind: 'command', argv: ['/bin/false'], timeoutMs: 300 } },
      })
      await expect(node.create({ spec: late, incarnation: 1 })).rejects.toMatchObject({
        code: 'start-failed',
        message: expect.stringContaining('was not ready in 300 ms'),
      })
      expect((await node.list()).map(({ id }) => id)).toEqual([])
    },
    120_000,
  )

  it.each(DRIVERS)(
    'with $name fails with what its command said, and without a shell says so',
    async ({ name }) => {
      const events = await build(`bad-${name}`, name, [{ kind: 'run', command: 'echo nearly; exit 9' }])
      expect(textOf(events)).toBe('nearly\n')
      expect(events.at(-1)).toMatchObject({
        type: 'failed',
        code: 'build-failed',
        message: 'the command exited with code 9',
      })
      const empty = join(place.folder, `empty-${name}`)
      mkdirSync(empty)
      const shellless = await build(`empty-${name}`, name, [{ kind: 'run', command: 'true' }], {
        from: { kind: 'source', source: `directory:${empty}` },
      })
      expect(shellless.at(-1)).toMatchObject({
        type: 'failed',
        code: 'build-failed',
        message: expect.stringContaining('/bin/sh'),
      })
    },
    60_000,
  )
})
