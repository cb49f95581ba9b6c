import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CoveError } from '@cove/domain'
import { missingForDockerd, TestDockerd } from '@cove/docker-engine/testing'
import { formatOwner, thisProcess } from '../src/docker/container-owner.ts'
import { cacheVolume, KIND, LABEL } from '../src/docker/container-plan.ts'
import { ContainerWatch } from '../src/docker/container-watch.ts'
import { openDockerEnvironment } from '../src/docker/open-docker-environment.ts'
import { changedEngine } from './support/changed-engine.ts'
import { collect, DockerBench, say } from './support/docker-bench.ts'

const missing = missingForDockerd()
if (missing !== undefined) console.log(`skipped: containers from start to end: ${missing}`)

const label = (installation: string, owner: string): Record<string, string> => {
  return { [LABEL.kind]: KIND, [LABEL.installation]: installation, [LABEL.owner]: owner }
}

const told = (execID: string, at: number) => ({ action: 'exec_die', container: 'x', attributes: { execID }, at })

describe.skipIf(missing !== undefined)('a container', () => {
  const folder = mkdtempSync(join(tmpdir(), 'cove-test-'))
  let bench: DockerBench
  beforeAll(async () => {
    bench = await DockerBench.start()
  })
  afterAll(async () => {
    await bench?.[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true })
  })

  test('is found again by its name, started again, made anew when its configuration is another', async () => {
    const { name } = bench.options()
    const made = { name, owner: 'durable' as const, environment: { A: '1', B: '2' } }
    await using first = await bench.ready(made)
    expect(await first.state()).toBe('running')
    await say(first, 'echo kept > /tmp/file')
    await using second = await bench.ready({ ...made, environment: { B: '2', A: '1' } })
    expect(second.description).toMatch(/, reused$/)
    expect(await say(second, 'cat /tmp/file')).toBe('kept')
    await second.stop()
    expect([await second.state(), second.description]).toEqual(['present', expect.stringMatching(/, stopped$/)])
    await expect(second.withBinary('sh')).rejects.toMatchObject({ code: 'wrong-state' })
    await second.stop()
    await second.init()
    expect(second.description).toMatch(/, started again$/)
    expect(await say(second, 'cat /tmp/file')).toBe('kept')
    await using third = await bench.ready({ ...made, environment: { A: '3' } })
    expect(third.description).toMatch(/, recreated$/)
    expect(await say(third, 'cat /tmp/file 2>/dev/null || echo $A')).toBe('3')
    await third.shutdown()
    expect(await third.state()).toBe('deleted')
  })

  test('that has ended behind the back of its environment is brought back by the next `init`', async () => {
    await using environment = await bench.ready()
    await bench.engine.stopContainer(environment.container, 0)
    const proc = await environment.newProcess('true')
    await expect(proc.start()).rejects.toMatchObject({ code: 'wrong-state' })
    await environment.init()
    expect(environment.description).toMatch(/, started again$/)
    await bench.engine.removeContainer(environment.container)
    await environment.init()
    expect(environment.description).toMatch(/, created$/)
    expect(await say(environment, 'echo back')).toBe('back')
  })

  test('is made once when two ask for it at the same time', async () => {
    const made = { name: bench.options().name, owner: 'durable' as const }
    const both = await Promise.all([bench.open(made), bench.open(made)])
    await Promise.all(both.map((environment) => environment.init()))
    expect((await bench.names()).filter((name) => name === `cove-${made.name}`)).toHaveLength(1)
    for (const environment of both) expect(await say(environment, 'echo up')).toBe('up')
    for (const environment of both) await environment.shutdown()
    expect(await bench.names()).not.toContain(`cove-${made.name}`)
  })

  test('of somebody else is not touched', async () => {
    const { engine } = bench
    const spec = { image: TestDockerd.image, network: 'none', command: ['sleep', '1000'] }
    const me = await thisProcess()
    const labels: Record<string, string>[] = [
      {},
      label('other', 'durable'),
      label('test', 'who knows'),
      { ...label('test', 'durable'), [LABEL.name]: 'a/name/that/looks/the/same' },
      // Alive, and not this program: in another pid namespace nobody can tell.
      label('test', formatOwner({ ...me, pidNamespace: '1' })),
    ]
    for (const given of labels) {
      const { name } = bench.options()
      const { id } = await engine.createContainer({ ...spec, name: `cove-${name}`, labels: given })
      await using environment = await bench.open({ name })
      await expect(environment.init()).rejects.toMatchObject({ code: 'already-exists' })
      await environment.shutdown()
      expect((await engine.inspectContainer(id)).state).toBe('created')
      await engine.removeContainer(id)
    }
  })

  test('is listened to whatever the order in which its engine tells what happens', async () => {
    const engine = changedEngine(bench.engine, {
      async *containerEvents(_container, _options, signal) {
        yield told('second', 2)
        yield told('first', 1)
        if (signal !== undefined) await once(signal, 'abort')
      },
    })
    using watch = new ContainerWatch(engine, 'x')
    const ended = Promise.all(['first', 'second'].map((exec) => watch.untilEnded(exec)))
    await expect(ended).resolves.toHaveLength(2)
  })

  test('that somebody else has made anew is made anew again by the next `init`', async () => {
    const made = { name: bench.options().name, owner: 'durable' as const }
    await using first = await bench.ready({ ...made, environment: { A: '1' } })
    await using second = await bench.ready({ ...made, environment: { A: '2' } })
    await first.init()
    expect(await say(first, 'echo $A')).toBe('1')
    await second.init()
    expect(await say(second, 'echo $A')).toBe('2')
  })

  test('does not come back when its environment is shut down while it is asked whether it still runs', async () => {
    const asked = Promise.withResolvers<void>()
    const answer = Promise.withResolvers<void>()
    let isHeld = false
    const engine = changedEngine(bench.engine, {
      inspectContainer: async (container, signal) => {
        if (isHeld) {
          asked.resolve()
          await answer.promise
        }
        return await bench.engine.inspectContainer(container, signal)
      },
    })
    const environment = await bench.ready({ engine })
    isHeld = true
    const again = environment.init()
    await asked.promise
    isHeld = false
    await environment.shutdown()
    answer.resolve()
    await expect(again).rejects.toMatchObject({ code: 'wrong-state' })
    expect(await bench.names()).not.toContain(environment.container)
  })

  test('that has taken the name of one that is gone is not ended in its place', async () => {
    const environment = await bench.ready()
    const { container: name } = environment
    await bench.engine.removeContainer(name)
    const spec = { name, image: TestDockerd.image, network: 'none', command: ['sleep', '1000'] }
    const { id } = await bench.engine.createContainer(spec)
    await bench.engine.startContainer(id)
    await environment.stop()
    await environment.shutdown()
    expect((await bench.engine.inspectContainer(id)).state).toBe('running')
    await bench.engine.removeContainer(id)
  })

  test('in which nobody can see the processes is not left behind', async () => {
    const { engine } = bench
    let looks = 0
    const failing = changedEngine(engine, {
      // The first look at a running one is that of its start, the second that for its processes.
      inspectContainer: async (container, signal) => {
        const found = await engine.inspectContainer(container, signal)
        if (found.state === 'running' && looks++ > 0) throw new CoveError('connection-lost', 'the engine has gone')
        return found
      },
    })
    const environment = await bench.open({ engine: failing })
    await expect(environment.init()).rejects.toMatchObject({ code: 'connection-lost' })
    await environment.shutdown()
    expect(await bench.names()).not.toContain(environment.container)
  })

  test('that cannot be started leaves nothing behind, and says why', async () => {
    const before = await bench.names()
    const init = async (more: Parameters<DockerBench['open']>[0]): Promise<void> => {
      await using environment = await bench.open(more)
      await environment.init()
    }
    await expect(init({ command: ['/no/such/program'] })).rejects.toMatchObject({ code: 'command-not-found' })
    await expect(init({ command: ['false'] })).rejects.toMatchObject({ code: 'driver-failed' })
    await expect(init({ command: ['sh', '-c', 'echo so sorry; exit 3'] })).rejects.toMatchObject({
      code: 'driver-failed',
      message: expect.stringMatching(/code 3: so sorry$/),
      fix: expect.stringContaining('pause'),
    })
    await expect(init({ mounts: [{ source: '/no/such', target: '/x' }] })).rejects.toMatchObject({
      code: 'invalid-argument',
    })
    await expect(init({ image: '127.0.0.1:1/none:1' })).rejects.toMatchObject({ code: expect.any(String) })
    expect(await bench.names()).toEqual(before)
  })

  test.each(['createContainer', 'inspectImage', 'startContainer', 'attachContainer', 'inspectContainer'] as const)(
    'leaves nothing behind when it is given up during %s',
    async (call) => {
      const before = await bench.names()
      const controller = new AbortController()
      const { engine } = bench
      const aborting = {
        [call]: async (...args: unknown[]): Promise<unknown> => {
          const real = Reflect.get(engine, call, engine) as (...all: unknown[]) => Promise<unknown>
          const answer = real.apply(engine, args)
          controller.abort()
          return await answer
        },
      }
      await using environment = await bench.open({ engine: changedEngine(engine, aborting) })
      await expect(environment.init({ signal: controller.signal })).rejects.toMatchObject({ code: 'cancelled' })
      await environment.shutdown()
      await expect.poll(() => bench.names()).toEqual(before)
    },
  )

  test('goes on being made for the one who still waits', async () => {
    await using environment = await bench.open()
    const controller = new AbortController()
    const impatient = environment.init({ signal: controller.signal })
    const patient = environment.init()
    controller.abort()
    await expect(impatient).rejects.toMatchObject({ code: 'cancelled' })
    await patient
    expect(await environment.state()).toBe('running')
    await using stopped = await bench.open()
    const early = stopped.init().then(
      () => 'ready',
      () => 'given up',
    )
    await stopped.stop()
    expect(['ready', 'given up']).toContain(await early)
    expect(await stopped.state()).not.toBe('running')
  })

  test('is not shown the engine’s socket unless it is asked for by name', async () => {
    const { daemon } = bench
    const hostEnvironment = { DOCKER_HOST: `unix://${daemon.socket}` }
    const { engine: _engine, ...options } = bench.options()
    mkdirSync(join(folder, 'link'))
    symlinkSync(daemon.folder, join(folder, 'link/there'))
    for (const source of ['/', daemon.folder, daemon.socket, join(folder, 'link/there')]) {
      const mounts = [{ source, target: '/host', readOnly: true }]
      for (const engine of [{ hostEnvironment }, { engine: bench.engine }]) {
        await expect(openDockerEnvironment({ ...options, ...engine, mounts })).rejects.toMatchObject({
          code: 'permission-denied',
          fix: expect.stringContaining('dockerSocket'),
        })
      }
    }
    const look = '[ -S /var/run/docker.sock ] && echo there || echo none'
    await using asked = await openDockerEnvironment({ ...options, hostEnvironment, dockerSocket: true })
    await asked.init()
    expect(await say(asked, look)).toBe('there')
    await using given = await bench.ready({ dockerSocket: true })
    expect(await say(given, look)).toBe('there')
    await using plain = await bench.ready()
    expect(await say(plain, look)).toBe('none')
  })

  test('sees what is mounted, keeps its caches, and has its user, directory and no terminal', async () => {
    const shared = join(folder, 'shared')
    mkdirSync(shared)
    writeFileSync(join(shared, 'file'), 'from the host\n')
    const { name } = bench.options()
    const made = {
      name,
      mounts: [{ source: shared, target: '/shared', readOnly: true }],
      caches: [{ key: 'build', target: '/cache' }],
      directory: '/shared',
      user: '1000:1000',
    }
    const first = await bench.ready(made)
    expect(await say(first, 'cat file; id -u; pwd; tty || :')).toBe('from the host\n1000\n/shared\nnot a tty')
    await expect(say(first, 'echo x > file')).rejects.toThrow('exited')
    await first.shutdown()
    const writer = await bench.ready({ ...made, user: '0' })
    await say(writer, 'echo cached > /cache/file')
    await writer.shutdown()
    await using last = await bench.ready({ ...made, environment: { NEW: '1' } })
    expect(await say(last, 'cat /cache/file')).toBe('cached')
    await bench.engine.removeContainer(last.container)
    await bench.engine.removeVolume(cacheVolume({ installation: 'test', name }, 'build'))
  })

  test.each([false, true])('tells what its own first process says, with a terminal: %s', async (terminal) => {
    const command = ['sh', '-c', 'echo one; echo two >&2; tty; sleep 1000']
    await using environment = await bench.ready({ command, terminal })
    const seen: string[] = []
    for await (const { stream, text } of environment.logs({ follow: true })) {
      seen.push(`${stream} ${text.trimEnd()}`)
      if (seen.length === 3) break
    }
    expect(new Set(seen)).toEqual(
      new Set(
        terminal ? ['stdout one', 'stdout two', 'stdout /dev/pts/0'] : ['stdout one', 'stderr two', 'stdout not a tty'],
      ),
    )
    const last: string[] = []
    for await (const { text } of environment.logs({ tail: 1 })) last.push(text)
    expect(last).toHaveLength(1)
  })

  async function imageWith(tag: string, programs: readonly string[]): Promise<string> {
    const root = join(folder, tag)
    mkdirSync(join(root, 'bin'), { recursive: true })
    mkdirSync(join(root, 'lib'))
    for (const program of programs) copyFileSync('/bin/busybox', join(root, 'bin', program))
    writeFileSync(join(root, 'lib/file'), '')
    const archive = execFileSync('tar', ['-C', root, '-c', '.'], { maxBuffer: 64 * 1024 * 1024 })
    await bench.engine.importImage(`cove-test/${tag}:1`, archive, ['ENV PATH=/bin'])
    return `cove-test/${tag}:1`
  }

  describe('that pauses', () => {
    test.each([['sh'], ['sleep'], ['tail']])('does so with %s when that is all that its image has', async (program) => {
      await using environment = await bench.ready({ image: await imageWith(`only-${program}`, [program]) })
      const processes = await bench.engine.listProcesses(environment.container, '-o pid,comm')
      expect(processes.map(([, name]) => name)).toEqual(['docker-init', program])
      // No tool of the image is needed to end what runs in it.
      const proc = await environment.newProcess(program === 'sh' ? 'sh' : program, ...(RESTS[program] ?? []))
      await proc.start()
      expect(await proc.stop({ graceMs: 1000 })).toMatchObject({ kind: 'signaled' })
    })

    const RESTS: Readonly<Record<string, readonly string[]>> = {
      sh: ['-c', 'kill -STOP $$'],
      sleep: ['1000'],
      tail: ['-f', '/lib/file'],
    }

    test('is refused when its image has nothing for it, and leaves nothing', async () => {
      const before = await bench.names()
      await using environment = await bench.open({ image: await imageWith('empty', []) })
      await expect(environment.init()).rejects.toMatchObject({
        code: 'unsupported',
        fix: expect.stringContaining('command'),
      })
      expect(await bench.names()).toEqual(before)
    })
  })

  test('refuses options that make no sense before anything is made', async () => {
    const wrong: Parameters<DockerBench['open']>[0][] = [
      { name: '' },
      { name: '../x' },
      { installation: 'a b' },
      { image: '' },
      { command: ['true'], pause: true },
      { directory: 'relative' },
      { mounts: [{ source: 'relative', target: '/x' }] },
      { caches: [{ key: '../x', target: '/x' }] },
      { ports: [{ container: 0 }] },
      { ports: [{ container: 80, host: 70_000 }] },
      { environment: { 'A=B': 'x' } },
    ]
    for (const more of wrong) await expect(bench.open(more)).rejects.toMatchObject({ code: 'invalid-argument' })
  })

  test('goes with its engine, and what ran in it is told as lost', async () => {
    await using other = await DockerBench.start()
    const environment = await other.ready()
    const proc = await environment.newProcess('sh', '-c', 'echo up; sleep 1000')
    const lines = collect(proc)
    await proc.start()
    await expect.poll(() => lines).toEqual(['up'])
    await other.daemon[Symbol.asyncDispose]()
    expect(await proc.wait()).toEqual({ kind: 'lost' })
    await expect(environment.shutdown()).rejects.toMatchObject({ code: 'driver-failed' })
  })
})
