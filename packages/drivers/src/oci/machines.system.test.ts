import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { isRenamable, type Machine, type TemplateRoot } from '@cove/domain'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { isRoot, openHostRig, type HostRig } from '../../test/support/host-rig.ts'
import { noSmallRoot, smallRoot } from '../../test/support/small-root.ts'
import { codeOf, PLAIN, soon, Stage } from '../conformance/index.ts'
import { skipped } from '../../test/support/runtimes.ts'
import { createOciDriver } from './driver.ts'

const MiB = 1024 * 1024
const CONTEXT = () => ({ signal: AbortSignal.timeout(20_000), progress: () => undefined })

for (const runtime of ['crun', 'runc'] as const) {
  const why = skipped(runtime) ?? noSmallRoot

  describe.skipIf(why !== undefined)(`machines of ${runtime}${why === undefined ? '' : ` (skipped: ${why})`}`, () => {
    let folder: string
    let from: TemplateRoot
    let rig: HostRig
    const stage = new Stage(async () => {
      rig = await openHostRig({
        prefix: `${runtime}-`,
        agent: 'child',
        open: (parts) => createOciDriver({ ...parts, runtime }),
        traits: { users: ['user'], enforces: [], ownFiles: true, pausable: isRoot },
      })
      return { ...rig, from }
    })
    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'cove-test-'))
      from = await smallRoot(folder)
      await stage.open()
    })
    afterAll(async () => {
      await stage.close()
      await rm(folder, { recursive: true })
    })
    afterEach(() => stage.expectCleared())

    const monitorOf = async ({ id }: Machine) => (await rig.parts.launcher.get(`${runtime}-${id}`))?.pid ?? 0
    const works = async (machine: Machine) =>
      expect((await stage.run(await stage.link(machine), ['true'])).exit).toEqual({ kind: 'exited', code: 0 })

    it('outlive the launcher, and their end is told as lost', async () => {
      const machine = await stage.create()
      await stage.shell(await stage.link(machine), 'echo before > /tmp/note')
      await rig.killLauncher()
      await stage.restart()
      const [found] = await Array.fromAsync(stage.driver.recover())
      if (found?.kind !== 'running') throw new Error(`not running: ${found?.kind}`)
      const link = await stage.link(found.machine)
      expect((await stage.run(link, ['cat', '/tmp/note'])).stdout).toBe('before\n')
      await stage.rig.killGuest(machine.id)
      expect(await soon(found.machine.exited, 'the end')).toEqual({ kind: 'lost' })
    })

    it.skipIf(!isRoot)('are named from outside, and by nobody once they have ended', async () => {
      const machine = await stage.create()
      const link = await stage.link(machine)
      if (!isRenamable(machine)) throw new Error('the machine cannot be renamed')
      await machine.rename('other')
      expect((await stage.run(link, ['hostname'])).stdout).toBe('other\n')
      await machine.stop(0)
      expect(await codeOf(machine.rename('late'))).toBe('wrong-state')
      expect(hostname()).not.toMatch(/^(other|late)$/)
    })

    it('are removed with all that a killed monitor leaves behind', async () => {
      const machine = await stage.create()
      await stage.link(machine)
      const agent = await rig.agentPid(machine.id)
      process.kill(await monitorOf(machine), 'SIGKILL')
      expect(await soon(machine.exited, 'the end')).toEqual({ kind: 'signaled', signal: 9 })
      await stage.driver.destroy(machine.id)
      expect(() => process.kill(agent, 0)).toThrow('ESRCH')
      expect(await stage.rig.leftovers()).toEqual([])
    })

    it('leave nothing when the runtime is killed while it starts them', async () => {
      for (const delay of [0, 1, 2, 4, 8, 16]) {
        const machine = await stage.create()
        await new Promise((resolve) => setTimeout(resolve, delay))
        process.kill(await monitorOf(machine), 'SIGKILL')
        expect(await soon(machine.exited, 'the end')).toEqual({ kind: 'signaled', signal: 9 })
        await stage.driver.destroy(machine.id)
        expect([delay, ...(await stage.rig.leftovers())]).toEqual([delay])
      }
    })

    it('leave nothing of the runtime on the host', async () => {
      const machine = await stage.create()
      await works(machine)
      for (const place of ['/run/crun', '/run/runc', `/run/user/${process.getuid?.() ?? 0}/crun`]) {
        expect(existsSync(join(place, machine.id))).toBe(false)
      }
      const mounts = await readFile('/proc/self/mountinfo', 'utf8')
      expect(mounts).not.toContain(rig.folder)
    })

    it.runIf(isRoot)('tell of memory that ran out, and go on', async () => {
      const machine = await stage.create({ limits: { memoryBytes: { value: 32 * MiB, required: true } } })
      const link = await stage.link(machine)
      const { exit } = await stage.shell(link, 'exec tail -c 100m /dev/zero', 'root')
      expect(exit).toEqual({ kind: 'out-of-memory' })
      await works(machine)
    })

    it.runIf(isRoot)('are one process more than what runs in them', async () => {
      const machine = await stage.create()
      const link = await stage.link(machine)
      const before = await machine.stats()
      expect(before.memoryBytes).toBeGreaterThan(0)
      expect(before.processes).toBeGreaterThanOrEqual(2)
      const { events } = await link.start({ id: 'more' as never, argv: ['sleep', '60'], env: {} })
      await expect.poll(async () => (await machine.stats()).processes).toBe((before.processes ?? 0) + 1)
      await link.signal('more' as never, 9)
      for await (const event of events) if (event.type === 'exit') break
    })

    it('say that the runtime is missing, and how to get it', async () => {
      const driver = createOciDriver({
        ...rig.parts,
        stateDir: `${rig.parts.stateDir}2`,
        runtime,
        program: '/nonexistent/runtime',
      })
      expect(await driver.fingerprint(AbortSignal.timeout(10_000))).toMatchObject({
        proven: false,
        reason: `${runtime} is not installed`,
        fix: expect.stringContaining(`apt-get install ${runtime}`),
      })
      expect(await codeOf(driver.create(stage.newId(), { ...PLAIN, from }, CONTEXT()))).toBe('isolation-unavailable')
      await driver.close()
    })

    it('repeat what a runtime that fails has said', async () => {
      const driver = createOciDriver({
        ...rig.parts,
        stateDir: `${rig.parts.stateDir}2`,
        runtime,
        program: '/bin/false',
      })
      const fingerprint = await driver.fingerprint(AbortSignal.timeout(20_000))
      expect(fingerprint).toMatchObject({ proven: false, reason: expect.stringContaining('no machine runs') })
      await driver.close()
    })
  })
}
