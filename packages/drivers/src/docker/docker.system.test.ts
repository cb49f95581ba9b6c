import { execFileSync } from 'node:child_process'
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isPausable, isResizable, readsDisk, type CreateContext, type Machine, type ProcessId } from '@cove/domain'
import { openGuestLink } from '@cove/guest-link'
import { systemRandom } from '@cove/domain/system'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { noDocker, openDockerRig, type DockerRig } from '../../test/support/docker-rig.ts'
import { codeOf, soon, Stage } from '../conformance/index.ts'

if (noDocker !== undefined) console.log(`skipped: machines of a Docker Engine: ${noDocker}`)

const MiB = 1024 * 1024
const context = (): CreateContext => ({ signal: AbortSignal.timeout(30_000), progress: () => undefined })

async function* brokenBytes(): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(Buffer.alloc(2048, 7))
}

describe.skipIf(noDocker !== undefined)('machines of a Docker Engine', () => {
  let rig: DockerRig
  const stage = new Stage(async () => {
    rig = await openDockerRig()
    return rig
  })
  beforeAll(() => stage.open())
  afterAll(() => stage.close())
  afterEach(() => stage.expectCleared())

  const firstState = async () => {
    const [first] = await rig.engine.listContainers({})
    return first?.state
  }

  const imageFrom = async (
    fill: (root: string) => Promise<void>,
    config: Readonly<Record<string, unknown>> = {},
  ): Promise<{ from: typeof rig.from }> => {
    const root = await mkdtemp(join(tmpdir(), 'cove-test-'))
    try {
      await fill(root)
      return { from: { kind: 'layers', lower: [root], image: await rig.images.add(root, config) } }
    } finally {
      await rm(root, { recursive: true })
    }
  }

  describe('images', () => {
    it('are given to the engine once, however many ask, and are found again later', async () => {
      const spec = await imageFrom((root) => writeFile(join(root, 'here'), 'once'))
      const before = rig.images.exports
      const machines = await Promise.all([1, 2, 3].map(() => stage.create(spec)))
      for (const machine of machines) await stage.driver.destroy(machine.id)
      await stage.restart()
      await stage.create(spec)
      expect(rig.images.exports - before).toBe(1)
    })

    it('go when the node has them no longer', async () => {
      const spec = await imageFrom((root) => writeFile(join(root, 'here'), 'for a while'))
      const machine = await stage.create(spec)
      rig.images.forget(spec.from.image)
      const tags = async () => (await rig.engine.listImages({ labels: {} })).flatMap((each) => each.tags)
      const hex = spec.from.image.slice('sha256:'.length)
      await Array.fromAsync(stage.driver.recover())
      expect((await tags()).some((tag) => tag.endsWith(hex))).toBe(true)
      await stage.driver.destroy(machine.id)
      await Array.fromAsync(stage.driver.recover())
      expect((await tags()).some((tag) => tag.endsWith(hex))).toBe(false)
    })

    it('need no shell, no folders and no user that exists, and what they say of their own program is left aside', async () => {
      const spec = await imageFrom(() => Promise.resolve(), {
        User: 'nobody-there',
        WorkingDir: '/not/there',
        Entrypoint: ['/not/there/either'],
        StopSignal: 'SIGUSR1',
        Healthcheck: { Test: ['CMD', '/not/there'], Interval: 1_000_000_000 },
      })
      const machine = await stage.create(spec)
      const link = await stage.link(machine)
      const { stdout } = await stage.run(link, ['/dev/.cove/cove-guest', 'version'], '0')
      expect(stdout).toMatch(/^\d/)
      expect(await soon(machine.stop(10_000), 'the end')).toEqual({ kind: 'exited', code: 0 })
    })

    it('declare no volumes of their own: what is written there is on the disk', async () => {
      const { from } = await imageFrom(
        async (root) => {
          await mkdir(join(root, 'data'))
          await writeFile(join(root, 'data/first'), 'from the image')
        },
        { Volumes: { '/data': {} } },
      )
      const machine = await stage.create({ from })
      const link = await stage.link(machine)
      await link.writeFile('/data/second', brokenBytes(), { user: '0' })
      if (!readsDisk(machine)) throw new Error('the disk cannot be read')
      const content = await machine.readDisk(context())
      if (content.kind !== 'tar') throw new Error('not a layer')
      const tar = Buffer.concat(await Array.fromAsync(content.tar))
      await content[Symbol.asyncDispose]()
      expect(execFileSync('tar', ['-t'], { input: tar }).toString()).toContain('data/second')
      expect((await rig.leftovers()).filter((each) => each.startsWith('volume'))).toEqual([])
    })

    it('that are broken are refused and leave nothing', async () => {
      const spec = await imageFrom((root) => writeFile(join(root, 'x'), 'y'))
      const driver = rig.open({
        images: { export: () => Promise.resolve(brokenBytes()), list: () => rig.images.list() },
      })
      const outcome = await codeOf(driver.create(stage.newId(), { ...stage.plain, ...spec }, context()))
      await driver.close()
      expect(outcome).toBe('image-invalid')
    })
  })

  describe('the wall', () => {
    it('leaves root inside without power, and nothing new can be gained', async () => {
      const link = await stage.link(await stage.create())
      const status = (await stage.shell(link, 'cat /proc/self/status', 'root')).stdout
      expect(status).toMatch(/NoNewPrivs:\s*1/)
      expect(status).toMatch(/Seccomp:\s*2/)
      const bounding = BigInt(`0x${/CapBnd:\s*([0-9a-f]+)/.exec(status)?.[1]}`)
      // Neither setpcap, net_raw, sys_admin, sys_ptrace nor mknod.
      for (const bit of [8n, 13n, 21n, 19n, 27n]) expect([bit, (bounding >> bit) & 1n]).toEqual([bit, 0n])
      for (const script of ['mount -t tmpfs none /mnt', 'mkdir /m; mount -t tmpfs none /m', 'mknod /d b 8 0']) {
        expect((await stage.shell(link, script, 'root')).exit).not.toEqual({ kind: 'exited', code: 0 })
      }
      const agent = await stage.shell(link, 'echo x > /dev/.cove/cove-guest || rm /dev/.cove/cove-guest', 'root')
      expect(agent.exit).not.toEqual({ kind: 'exited', code: 0 })
    })

    it('lets only root talk to the agent, and even root not without its token', async () => {
      const link = await stage.link(await stage.create())
      expect((await stage.shell(link, '/dev/.cove/cove-guest bridge /dev/.cove-agent.sock', 'user')).stderr).toMatch(
        /denied/i,
      )
    })

    it('has no network and no way to the engine', async () => {
      const link = await stage.link(await stage.create())
      const { stdout } = await stage.shell(link, 'ls /sys/class/net; ls -a /var/run /run')
      expect(stdout).not.toMatch(/eth|docker/)
    })
  })

  describe('limits', () => {
    it('hit the workload and not the agent, and are told as what they were', async () => {
      const limits = { memoryBytes: { value: 48 * MiB, required: true } }
      const link = await stage.link(await stage.create({ limits }))
      const { exit } = await stage.shell(link, 'exec tail -c 400000000 /dev/zero')
      expect(exit).toEqual({ kind: 'out-of-memory' })
      expect((await stage.shell(link, 'echo still here')).stdout).toBe('still here\n')
    })

    it('hold a bomb of processes, and the agent can still be reached anew', async () => {
      const limits = { processes: { value: 24, required: true } }
      const machine = await stage.create({ limits })
      const link = await stage.link(machine)
      const bomb = 'for i in $(seq 200); do sleep 1000 & done; echo never'
      await link.start({ id: 'bomb' as ProcessId, argv: ['/bin/sh', '-c', bomb], env: {} })
      await expect.poll(async () => (await machine.stats()).processes, { timeout: 10_000 }).toBeGreaterThan(24)
      await stage.closeLinks()
      const again = await stage.link(machine)
      expect((await again.processes()).map(({ id }) => id)).toContain('bomb')
      expect((await machine.stats()).processes).toBeLessThan(60)
    })

    it('can be changed while it runs, and the next daemon knows', async () => {
      const machine = await stage.create({ limits: { memoryBytes: { value: 64 * MiB, required: true } } })
      if (!isResizable(machine)) throw new Error('the machine cannot be resized')
      const reports = await machine.resize({
        memoryBytes: { value: 96 * MiB, required: true },
        cpus: { value: 0.5, required: false },
      })
      const expected = [
        { name: 'memoryBytes', value: 96 * MiB, enforced: true },
        { name: 'cpus', value: 0.5, enforced: true },
      ]
      expect(reports).toEqual(expected)
      const refused = machine.resize({ diskBytes: { value: 64 * MiB, required: true } })
      expect(await codeOf(refused)).toBe('limit-not-enforceable')
      expect(machine.limits).toEqual(expected)
      await stage.restart()
      const [found] = await Array.fromAsync(stage.driver.recover())
      expect(found?.kind === 'running' && found.machine.limits).toEqual(expected)
    })
  })

  describe('disks', () => {
    it('go over into another container when something is asked for that cannot be changed', async () => {
      const disk = stage.newDisk()
      const first = await stage.create({ disk, limits: { memoryBytes: { value: 64 * MiB, required: true } } })
      const before = await stage.link(first)
      await stage.shell(before, 'echo kept > /home/user/note; ln -s note /home/user/link')
      await stage.shell(before, 'rm /bin/seq', 'root')
      await stage.driver.destroy(first.id)
      const second = await stage.create({ disk, hostname: 'other' })
      const link = await stage.link(second)
      const { stdout } = await stage.shell(
        link,
        'hostname; cat /home/user/link; stat -c %U /home/user/note; ls /bin/seq',
      )
      expect(stdout).toBe('other\nkept\nuser\n')
      expect(second.limits).toEqual([])
      await stage.driver.destroy(second.id)
      expect(await stage.driver.listDisks()).toEqual([disk])
      expect((await rig.engine.listContainers({})).length).toBe(1)
    })

    it('that were about to be started when the daemon was killed are put back', async () => {
      const disk = stage.newDisk()
      const first = await stage.create({ disk })
      await stage.driver.destroy(first.id)
      const [container] = await rig.engine.listContainers({})
      await rig.engine.startContainer(container?.id ?? '')
      await stage.restart()
      expect(await Array.fromAsync(stage.driver.recover())).toEqual([])
      const second = await stage.create({ disk })
      expect((await stage.run(await stage.link(second), ['true'])).exit).toEqual({ kind: 'exited', code: 0 })
    })
  })

  describe('what a machine has written', () => {
    it('is told as a layer, and the machine stands still until that is disposed', async () => {
      const machine = await stage.create()
      const link = await stage.link(machine)
      const script = 'echo new > /home/user/new; echo more >> /etc/group; rm /bin/seq; rm -r /var/tmp; mkdir /var/tmp'
      await stage.shell(
        link,
        `${script}; echo gone > /tmp/volatile; setfattr 2>/dev/null; ln /home/user/new /home/user/hard`,
        'root',
      )
      if (!readsDisk(machine)) throw new Error('the disk cannot be read')
      const content = await machine.readDisk(context())
      if (content.kind !== 'tar') throw new Error('not a layer')
      const tar = Buffer.concat(await Array.fromAsync(content.tar))
      expect(await firstState()).toBe('paused')
      await content[Symbol.asyncDispose]()
      expect(await firstState()).toBe('running')
      const names = execFileSync('tar', ['-t'], { input: tar }).toString().trim().split('\n')
      expect(names).toEqual(expect.arrayContaining(['home/user/new', 'home/user/hard', 'etc/group', 'bin/.wh.seq']))
      expect(names.filter((name) => /cove|volatile|hostname|resolv/.test(name))).toEqual([])
      const text = execFileSync('tar', ['-xO', 'home/user/hard'], { input: tar }).toString()
      expect(text).toBe('new\n')
      expect((await stage.run(link, ['echo', 'awake'])).stdout).toBe('awake\n')
    })

    it('may be read when the daemon is killed: the next one lets the machine go on', async () => {
      const [read, paused] = [await stage.create(), await stage.create()]
      if (!readsDisk(read) || !readsDisk(paused) || !isPausable(paused)) throw new Error('the disk cannot be read')
      await paused.pause()
      const contents = [await read.readDisk(context()), await paused.readDisk(context())]
      await stage.restart()
      const found = await Array.fromAsync(stage.driver.recover())
      expect(found.map(({ kind }) => kind)).toEqual(['running', 'running'])
      const states = (await rig.engine.listContainers({})).map(({ names, state }) => [names[0]?.slice(-16), state])
      expect(Object.fromEntries(states)).toEqual({ [read.id]: 'running', [paused.id]: 'paused' })
      expect(contents.length).toBe(2)
    })

    it('is nothing when nothing was written, and stays paused when it was', async () => {
      const machine = await stage.create()
      if (!readsDisk(machine) || !isPausable(machine)) throw new Error('the disk cannot be read')
      await machine.pause()
      const content = await machine.readDisk(context())
      if (content.kind !== 'tar') throw new Error('not a layer')
      const tar = Buffer.concat(await Array.fromAsync(content.tar))
      await content[Symbol.asyncDispose]()
      expect(execFileSync('tar', ['-t'], { input: tar }).toString()).not.toMatch(/home|cove/)
      expect(await firstState()).toBe('paused')
    })

    it('can be given up in the middle', async () => {
      const machine = await stage.create()
      await stage.shell(await stage.link(machine), 'head -c 20000000 /dev/zero > /home/user/big')
      if (!readsDisk(machine)) throw new Error('the disk cannot be read')
      const content = await machine.readDisk(context())
      if (content.kind !== 'tar') throw new Error('not a layer')
      for await (const chunk of content.tar) if (chunk.length > 0) break
      await content[Symbol.asyncDispose]()
      expect(await firstState()).toBe('running')
    })
  })

  describe('volumes', () => {
    it('are shown with their owners, read-only where asked, and outlive the machine', async () => {
      const source = join(rig.folder, 'volume')
      await mkdir(source, { recursive: true })
      await writeFile(join(source, 'note'), 'from the host')
      const volumes = [
        { source, target: '/data/rw', readOnly: false },
        { source, target: '/data/ro', readOnly: true },
      ]
      const link = await stage.link(await stage.create({ volumes }))
      const script = 'cat /data/ro/note; echo written > /data/rw/back; echo no > /data/ro/back'
      const { stdout, exit } = await stage.shell(link, script, 'root')
      expect([stdout, exit]).toEqual(['from the host', { kind: 'exited', code: 1 }])
      expect((await stage.shell(link, 'cat /data/ro/back')).stdout).toBe('written\n')
    })

    it('are shown although the engine could not say at first whether it sees them', async () => {
      let broken = true
      const driver = rig.open({
        connect: async (address, signal) => {
          const { openDockerEngine } = await import('@cove/docker-engine')
          const engine = await openDockerEngine(address, signal)
          return new Proxy(engine, {
            get(target, name) {
              const value: unknown = Reflect.get(target, name, target)
              if (name === 'getArchive' && broken) return () => Promise.reject(new Error('broken for a test'))
              return typeof value === 'function' ? value.bind(target) : value
            },
          })
        },
      })
      const source = join(rig.folder, 'asked-again')
      await mkdir(source, { recursive: true })
      const spec = { ...stage.plain, volumes: [{ source, target: '/data', readOnly: true }] }
      const id = stage.newId()
      expect(await codeOf(driver.create(id, spec, context()))).toBe('unsupported')
      broken = false
      expect((await driver.create(id, spec, context())).id).toBe(id)
      await driver.destroy(id)
      await driver.close()
    })

    it('are refused where the engine does not see the files of this host', async () => {
      const driver = rig.open({
        connect: async (address, signal) => {
          const { openDockerEngine } = await import('@cove/docker-engine')
          const engine = await openDockerEngine(address, signal)
          return new Proxy(engine, {
            get(target, name) {
              const value: unknown = Reflect.get(target, name, target)
              if (typeof value !== 'function') return value
              if (name !== 'createContainer') return value.bind(target)
              // As a remote engine: its own folders have these names, with other things in them.
              return (spec: Parameters<typeof engine.createContainer>[0], by?: AbortSignal) => {
                const mounts = spec.mounts?.map((mount) =>
                  mount.kind === 'bind' ? { ...mount, source: '/etc' } : mount,
                )
                return target.createContainer({ ...spec, ...(mounts === undefined ? {} : { mounts }) }, by)
              }
            },
          })
        },
      })
      const volumes = [{ source: '/etc', target: '/data', readOnly: true }]
      const outcome = await codeOf(driver.create(stage.newId(), { ...stage.plain, volumes }, context()))
      await driver.close()
      expect(outcome).toBe('unsupported')
    })
  })

  describe('others', () => {
    it('are never touched: containers, volumes and images of another installation or of nobody', async () => {
      const { engine } = rig
      const labels = { 'cove.installation': 'somebodyelse1234', 'cove.kind': 'machine' }
      const image = 'cove-test/box:1'
      const other = await engine.createContainer({ image, network: 'none', command: ['sleep', '100'], labels })
      await engine.createVolume('cove-agent-somebodyelse1234-0', { ...labels, 'cove.kind': 'machine-agent' })
      await engine.tagImage(image, 'cove-somebodyelse1234/image', 'x')
      try {
        await stage.restart()
        expect(await Array.fromAsync(stage.driver.recover())).toEqual([])
        expect((await engine.inspectContainer(other.id)).state).toBe('created')
        expect((await engine.listVolumes({})).map(({ name }) => name)).toContain('cove-agent-somebodyelse1234-0')
        expect((await engine.inspectImage('cove-somebodyelse1234/image:x')).id).not.toBe('')
      } finally {
        await engine.removeContainer(other.id)
        await engine.removeVolume('cove-agent-somebodyelse1234-0')
        await engine.removeImage('cove-somebodyelse1234/image:x')
      }
    })

    it('that have taken the name of a machine stay, and the create is refused', async () => {
      const id = stage.newId()
      const name = `cove-machine-${rig.installation}-${id}`
      const { engine } = rig
      const other = await engine.createContainer({ name, image: 'cove-test/box:1', network: 'none', command: ['true'] })
      expect(await codeOf(stage.create({}, id))).toBe('already-exists')
      expect((await engine.inspectContainer(other.id)).state).toBe('created')
      await engine.removeContainer(other.id)
    })
  })

  it('does not wait for ever for an engine that does not answer', async () => {
    const silent = createServer((socket) => socket.resume()).listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const { port } = silent.address() as AddressInfo
    const driver = rig.open({ address: { kind: 'tcp', host: '127.0.0.1', port } })
    const signal = AbortSignal.timeout(200)
    const create = driver.create(stage.newId(), stage.plain, { signal, progress: () => undefined })
    expect(await codeOf(create)).toBe('deadline-exceeded')
    await driver.close()
    silent.close()
    await once(silent, 'close')
  })

  it('puts the guest program there again when somebody has removed its volume', async () => {
    for (const { name } of await rig.engine.listVolumes({})) await rig.engine.removeVolume(name)
    const machine = await stage.create()
    expect((await stage.run(await stage.link(machine), ['true'])).exit).toEqual({ kind: 'exited', code: 0 })
  })

  it('refuses the programs of this host, and says what to do', async () => {
    const [problem] = stage.driver.validate({ ...stage.plain, from: { kind: 'host' } })
    expect(problem).toMatchObject({ field: 'from', fix: expect.stringContaining('image') })
    expect(await codeOf(stage.create({ from: { kind: 'host' } }))).toBe('unsupported')
  })

  it('tells an end that the engine brought about, and what it uses before', async () => {
    const machine: Machine = await stage.create()
    const stats = await machine.stats()
    expect(stats.memoryBytes).toBeGreaterThan(0)
    expect(stats.processes).toBeGreaterThan(0)
    const [container] = await rig.engine.listContainers({})
    await rig.engine.removeContainer(container?.id ?? '')
    expect(await soon(machine.exited, 'the end')).toEqual({ kind: 'signaled', signal: 9 })
    expect(await machine.stats()).toEqual({})
  })

  it('carries 32 MiB through one session whole', async () => {
    const machine = await stage.create()
    await using link = await openGuestLink({
      connect: (signal) => machine.connectGuest(signal),
      token: systemRandom.bytes(32),
      nextEpoch: () => 1,
      random: systemRandom,
      signal: AbortSignal.timeout(30_000),
    })
    const bytes = Buffer.from(systemRandom.bytes(32 * MiB))
    async function* pieces() {
      for (let at = 0; at < bytes.length; at += MiB) yield await Promise.resolve(bytes.subarray(at, at + MiB))
    }
    await link.writeFile('/home/user/large', pieces())
    const { content } = await link.readFile('/home/user/large')
    expect(Buffer.concat(await Array.fromAsync(content)).equals(bytes)).toBe(true)
  })
})
