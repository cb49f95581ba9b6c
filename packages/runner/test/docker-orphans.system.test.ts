import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openDockerEngine, type DockerEngine } from '@cove/docker-engine'
import { missingForDockerd, TestDockerd } from '@cove/docker-engine/testing'
import { formatOwner, readHere, thisProcess, type Here, type OwnerProcess } from '../src/docker/container-owner.ts'
import { KIND, LABEL } from '../src/docker/container-plan.ts'
import type { DockerEnvironmentOptions } from '../src/docker/docker-options.ts'
import { openDockerEnvironment } from '../src/docker/open-docker-environment.ts'
import { sweepContainers } from '../src/docker/sweep-containers.ts'
import { changedEngine, distantEngine } from './support/changed-engine.ts'

const missing = missingForDockerd()
if (missing !== undefined) console.log(`skipped: containers of programs that are gone: ${missing}`)

const OWNER = fileURLToPath(new URL('support/docker-owner.ts', import.meta.url))
const { image } = TestDockerd

describe.skipIf(missing !== undefined)('what a killed program leaves behind', () => {
  let daemon: TestDockerd
  let engine: DockerEngine
  let here: Here
  beforeAll(async () => {
    daemon = await TestDockerd.start()
    engine = await daemon.open()
    here = await readHere()
  })
  afterAll(async () => {
    engine?.[Symbol.dispose]()
    await daemon?.[Symbol.asyncDispose]()
  })

  let count = 0
  const options = (more: Partial<DockerEnvironmentOptions>): DockerEnvironmentOptions => {
    count += 1
    const installation = `test-${count}`
    return { name: `owned-${count}`, image, installation, network: 'none', pause: true, ...more }
  }
  const sweep = (installation: string, on = engine) => sweepContainers(on, { installation, here, graceMs: 200 })
  const programs = async (name: string): Promise<string[]> => {
    const found = await engine.listProcesses(`cove-${name}`, '-o pid,comm')
    return found.map(([, program = '']) => program)
  }
  /** Runs until that phase, and is killed there. */
  const killAt = async (phase: string, made: DockerEnvironmentOptions): Promise<void> => {
    const child = spawn(process.execPath, [OWNER, daemon.socket, phase, JSON.stringify(made)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [said] = (await once(child.stdout, 'data')) as [Buffer]
    expect(said.toString()).toBe(`${phase}\n`)
    child.kill('SIGKILL')
    await once(child, 'exit')
  }

  test.each(['create', 'start', 'exec', 'run'])(
    'a container that pauses ends with a program killed at %s',
    async (phase) => {
      const made = options({})
      await killAt(phase, made)
      // By itself, before anybody sweeps.
      await expect
        .poll(async () => (await engine.inspectContainer(`cove-${made.name}`)).state, { timeout: 10_000 })
        .toBe(phase === 'create' ? 'created' : 'exited')
      expect(await sweep(made.installation)).toEqual({
        reached: true,
        removed: [`cove-${made.name}`],
        ended: 0,
        problems: [],
      })
      expect(await engine.listContainers({ [LABEL.installation]: made.installation })).toEqual([])
    },
  )

  test.each(['start', 'run'])('one with a command of its own ends by the next program, killed at %s', async (phase) => {
    const made = options({ pause: false, command: ['sleep', '1000'] })
    await killAt(phase, made)
    expect((await engine.inspectContainer(`cove-${made.name}`)).state).toBe('running')
    await using next = await openDockerEnvironment({ ...made, engine, name: `${made.name}-next` })
    await next.init()
    const left = await engine.listContainers({ [LABEL.installation]: made.installation })
    expect(left.map(({ names }) => names[0])).toEqual([`cove-${made.name}-next`])
  })

  test.each(['create', 'start'])(
    'a durable container is taken up where a program killed at %s left it',
    async (phase) => {
      const made = options({ owner: 'durable' })
      await killAt(phase, made)
      expect(await sweep(made.installation)).toMatchObject({ removed: [], ended: 0, problems: [] })
      await using next = await openDockerEnvironment({ ...made, engine })
      await next.init()
      expect(next.description).toMatch(phase === 'create' ? /started again$/ : /reused$/)
      const proc = await next.newProcess('true')
      expect(await proc.run()).toEqual({ kind: 'exited', code: 0 })
    },
  )

  test.each([
    ['exec', 'pids of this machine'],
    ['run', 'pids of this machine'],
    ['run', 'a shell inside'],
  ])('a durable container stays and loses the processes of a program killed at %s, by %s', async (phase, by) => {
    const made = options({ owner: 'durable' })
    await killAt(phase, made)
    await expect
      .poll(() => programs(made.name), { timeout: 10_000 })
      .toEqual(['docker-init', 'cat', 'sh', 'sleep', 'sleep'])
    await using mine = await openDockerEnvironment({
      ...made,
      installation: made.installation,
      engine: changedEngine(engine, {
        // It sweeps too, and would leave nothing to look at.
        listContainers: () => Promise.resolve([]),
      }),
    })
    await mine.init()
    const living = await mine.newProcess('sleep', '2000')
    await living.start()
    const swept = await sweep(made.installation, by === 'a shell inside' ? distantEngine(engine) : engine)
    expect(swept).toEqual({ reached: true, removed: [], ended: 3, problems: [] })
    expect(await programs(made.name)).toEqual(['docker-init', 'cat', 'sleep'])
    expect(await living.isRunning()).toBe(true)
  })

  test('owners are told by more than their pid, and what cannot be told is left alone', async () => {
    const { installation, name } = options({})
    const me = await thisProcess()
    const make = async (suffix: string, owner: OwnerProcess | string, label = installation): Promise<string> => {
      const labels = {
        [LABEL.kind]: KIND,
        [LABEL.installation]: label,
        [LABEL.owner]: typeof owner === 'string' ? owner : formatOwner(owner),
      }
      const spec = { image, network: 'none', command: ['sleep', '1000'], name: `${name}-${suffix}`, labels }
      await engine.createContainer(spec)
      return spec.name
    }
    const alive = await make('alive', me)
    const reused = await make('reused', { ...me, startTime: me.startTime + 1 })
    const rebooted = await make('rebooted', { ...me, bootId: '00000000-0000-0000-0000-000000000000' })
    const elsewhere = await make('elsewhere', { ...me, pidNamespace: '1', pid: 1 })
    const durable = await make('durable', 'durable')
    const garbled = await make('garbled', 'who knows')
    const others = await make('others', { ...me, startTime: 1 }, `${installation}-other`)
    const stubborn = await make('stubborn', { ...me, startTime: 2 })

    const failing = changedEngine(engine, {
      removeContainer: async (container, signal) => {
        const { name: found } = await engine.inspectContainer(container)
        if (found === stubborn) throw new Error('no')
        await engine.removeContainer(container, signal)
      },
    })
    const first = await sweep(installation, failing)
    expect(first.removed.toSorted()).toEqual([rebooted, reused].toSorted())
    expect(first.problems.map(({ container }) => container).toSorted()).toEqual([garbled, stubborn].toSorted())
    const second = await Promise.all([sweep(installation), sweep(installation)])
    expect(second.flatMap(({ removed }) => removed)).toContain(stubborn)
    for (const { problems } of second) expect(problems.map(({ container }) => container)).toEqual([garbled])
    const all = await engine.listContainers({ [LABEL.kind]: KIND })
    const left = all.filter(({ names }) => names[0]?.startsWith(`${name}-`))
    expect(new Set(left.map(({ names }) => names[0]))).toEqual(new Set([alive, durable, elsewhere, garbled, others]))
    for (const { id } of left) await engine.removeContainer(id)
  })

  test('an engine that does not answer is no error', async () => {
    const nowhere = await openDockerEngine({ kind: 'unix', path: daemon.socket })
    const dead = changedEngine(nowhere, { listContainers: () => Promise.reject(new Error('no answer')) })
    expect(await sweep('test', dead)).toEqual({ reached: false, removed: [], ended: 0, problems: [] })
    nowhere[Symbol.dispose]()
    const controller = new AbortController()
    controller.abort()
    const cancelled = sweepContainers(dead, { installation: 'test', here, signal: controller.signal })
    await expect(cancelled).rejects.toMatchObject({ code: 'cancelled' })
  })
})
