import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { newProcessId, newSandboxId, randomId, type Guest, type NodeEvent, type SandboxSpec } from '@cove/domain'
import { systemRandom } from '@cove/domain/system'
import { specOf } from './support/kill-matrix-life.ts'
import { machinePids, openSpine, type Spine } from './support/spine.ts'

/** Node, driver, launcher and guest together on the real host; only server and doors are missing. */
const installation = `spine-${randomId(systemRandom).slice(0, 6)}`
let folder: string
let spine: Spine

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'cove-test-'))
  spine = await openSpine(folder, installation)
  await spine.node.ready()
})

afterEach(destroyAll)

afterAll(async () => {
  await spine.launcher.stopLauncher()
  await spine[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

/** Whatever a test has left is destroyed, and then there is nothing. */
async function destroyAll(): Promise<void> {
  const { node } = spine
  await Promise.all((await node.list()).map(({ id }) => node.destroy(id)))
  await node.settled()
  expect(readdirSync(join(folder, 'run/machines'))).toEqual([])
  expect(readdirSync(join(folder, 'run/disks'))).toEqual([])
  expect(machinePids(installation)).toEqual([])
}

const newSpec = (changes: Partial<SandboxSpec> = {}): SandboxSpec => ({
  ...specOf(newSandboxId(systemRandom)),
  ...changes,
})

/** What a shell script prints, stdout and stderr together. */
async function run(guest: Guest, script: string): Promise<string> {
  const argv = ['/bin/sh', '-c', script]
  const { events } = await guest.start({ id: newProcessId(systemRandom), argv, env: {} })
  let text = ''
  for await (const event of events) if (event.type === 'output') text += Buffer.from(event.data).toString('utf8')
  return text
}

describe('a sandbox on this host', () => {
  it('knows its name and its variables, and is measured', async () => {
    const { node } = spine
    const spec = newSpec({ name: 'writer', env: { GREETING: 'hello there' } })
    await node.create({ spec, incarnation: 1 })
    const guest = await node.guest(spec.id, 1)
    expect(await run(guest, 'hostname; echo "$GREETING"; id -un')).toBe('writer\nhello there\nuser\n')
    const stats = await node.stats(spec.id, 1)
    // An ordinary user may have no control groups to measure with.
    const unmeasured = process.getuid?.() === 0 ? 0 : 1
    expect(stats.processes ?? unmeasured).toBeGreaterThanOrEqual(1)
    expect(stats.memoryBytes ?? unmeasured).toBeGreaterThan(0)
  })

  it('lets its processes end in their grace, and keeps what they wrote for the next incarnation', async () => {
    const { node } = spine
    const spec = newSpec()
    await node.create({ spec, incarnation: 1 })
    const first = await node.guest(spec.id, 1)
    const script = `trap 'echo saved > /home/user/state; exit 0' TERM; echo ready; while :; do sleep 0.05; done`
    const argv = ['/bin/sh', '-c', script]
    const { events } = await first.start({ id: newProcessId(systemRandom), argv, env: {} })
    for await (const event of events) if (event.type === 'output') break
    expect(await node.stop(spec.id, 1, 5_000)).toEqual({ kind: 'exited', code: 0 })
    await expect(run(first, 'true')).rejects.toMatchObject({ code: 'wrong-state' })

    await node.create({ spec, incarnation: 2 })
    expect(await run(await node.guest(spec.id, 2), 'cat /home/user/state')).toBe('saved\n')
    await expect(run(first, 'true')).rejects.toMatchObject({ code: 'wrong-state' })
  })

  it('is told to the watchers when its machine is killed', async () => {
    const { node, launcher } = spine
    const spec = newSpec()
    await node.create({ spec, incarnation: 1 })
    const guest = await node.guest(spec.id, 1)
    const stop = new AbortController()
    const events = node.watch(stop.signal)
    const [host] = await launcher.list()
    const init = await host?.initPid()
    expect(init).toBeGreaterThan(1)
    process.kill(init ?? 0, 'SIGKILL')
    const heard: NodeEvent[] = []
    for await (const event of events) {
      heard.push(event)
      break
    }
    stop.abort()
    const exit = { kind: 'signaled', signal: 9 }
    expect(heard).toEqual([{ type: 'ended', id: spec.id, incarnation: 1, exit }])
    expect(await node.list()).toMatchObject([{ id: spec.id, state: 'ended', exit }])
    await expect(run(guest, 'true')).rejects.toMatchObject({ code: 'wrong-state' })
  })

  it('is found again with its processes by a node that is opened anew', async () => {
    const specs = Array.from({ length: 8 }, () => newSpec())
    await Promise.all(specs.map((spec) => spine.node.create({ spec, incarnation: 1 })))
    const id = newProcessId(systemRandom)
    for (const spec of specs) {
      const argv = ['/bin/sh', '-c', `echo ${spec.id}; exec sleep 1000`]
      await (await spine.node.guest(spec.id, 1)).start({ id, argv, env: {} })
    }
    await spine[Symbol.asyncDispose]()
    spine = await openSpine(folder, installation)
    expect((await spine.node.list()).map(({ state }) => state)).toEqual(specs.map(() => 'running'))
    for (const spec of specs) {
      const guest = await spine.node.guest(spec.id, 1)
      const { events } = await guest.attach(id, 0)
      for await (const event of events) {
        expect(event).toMatchObject({ type: 'output', offset: 0, data: Buffer.from(`${spec.id}\n`) })
        break
      }
    }
  })

  it('is not made when a limit that was asked for cannot be kept, or isolation that is not there', async () => {
    const { node } = spine
    const tooMuch = newSpec({ limits: { memoryBytes: { value: 2 ** 50, required: true } } })
    await expect(node.create({ spec: tooMuch, incarnation: 1 })).rejects.toMatchObject({
      code: 'limit-not-enforceable',
    })
    const tooStrong = newSpec({ isolation: 'vm' })
    await expect(node.create({ spec: tooStrong, incarnation: 1 })).rejects.toMatchObject({
      code: 'isolation-unavailable',
      context: { asked: 'vm', tried: 'bubblewrap: its isolation is only namespace' },
    })
    expect(await node.list()).toEqual([])
  })

  it('leaves nothing when its create is cancelled at any moment', async () => {
    const { node, driver } = spine
    let cancelled = 0
    for (let ms = 0; ms < 30; ms += 2) {
      const spec = newSpec()
      const create = node.create({ spec, incarnation: 1 }, AbortSignal.timeout(ms))
      const outcome = await create.then(
        () => 'made',
        (error: { code?: string }) => error.code,
      )
      if (outcome === 'made') await node.destroy(spec.id)
      else cancelled++
      expect(['made', 'deadline-exceeded']).toContain(outcome)
      expect(await node.list()).toEqual([])
      expect(await driver.listDisks()).toEqual([])
      expect(machinePids(installation)).toEqual([])
    }
    expect(cancelled).toBeGreaterThan(0)
  })
})
