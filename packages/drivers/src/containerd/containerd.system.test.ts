import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { isPausable, isRenamable, isResizable, readsDisk, type Machine, type ProcessId } from '@cove/domain'
import { missingForContainerd } from '@cove/containerd-engine/testing'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { openContainerdRig, ownMemory, type ContainerdRig } from '../../test/support/containerd-rig.ts'
import { noSmallRoot } from '../../test/support/small-root.ts'
import { codeOf, soon, Stage } from '../conformance/index.ts'

const run = promisify(execFile)
const MiB = 1024 * 1024
const missing = missingForContainerd() ?? noSmallRoot

describe.skipIf(missing !== undefined)(
  `machines of containerd${missing === undefined ? '' : ` (skipped: ${missing})`}`,
  () => {
    let rig: ContainerdRig
    const stage = new Stage(async () => {
      rig = await openContainerdRig()
      return rig
    })
    beforeAll(() => stage.open())
    afterAll(() => stage.close())
    afterEach(() => stage.expectCleared())

    const found = async (machine: Machine): Promise<Machine> => {
      const all = await Array.fromAsync(stage.driver.recover())
      const one = all.find((each) => each.kind === 'running' && each.machine.id === machine.id)
      if (one?.kind !== 'running') throw new Error(`${machine.id} is not running`)
      return one.machine
    }

    it('go on when containerd is killed, and are reached without it', async () => {
      const machine = await stage.create()
      const link = await stage.link(machine)
      await rig.daemon.kill()
      expect((await stage.run(link, ['echo', 'on'])).stdout).toBe('on\n')
      const again = await stage.link(machine)
      expect((await stage.run(again, ['echo', 'again'])).stdout).toBe('again\n')
      expect(await codeOf(stage.create())).toBe('driver-failed')
      await rig.daemon.restart()
      expect((await stage.run(await stage.link(await stage.create()), ['echo', 'new'])).stdout).toBe('new\n')
    })

    it('are told as ended although containerd was away when they did', async () => {
      const [killed, ended] = [await stage.create(), await stage.create()]
      const link = await stage.link(ended)
      const pid = await rig.agentPid(killed.id)
      await rig.daemon.kill()
      process.kill(pid, 'SIGKILL')
      await link.shutdown(1_000)
      await rig.daemon.restart()
      expect(await soon(killed.exited, 'the end')).toEqual({ kind: 'signaled', signal: 9 })
      expect(await soon(ended.exited, 'the end')).toEqual({ kind: 'exited', code: 0 })
    })

    it('are adopted, with their processes, after both daemons were killed', async () => {
      const machine = await stage.create()
      const link = await stage.link(machine)
      const id = 'survivor' as ProcessId
      const started = await link.start({ id, argv: ['/bin/sh', '-c', 'echo up; sleep 1000'], env: {} })
      for await (const event of started.events) if (event.type === 'output') break
      await rig.daemon.kill()
      await rig.daemon.restart()
      await stage.restart()
      const again = await stage.link(await found(machine))
      expect((await again.processes()).map((info) => info.id)).toContain(id)
    })

    it('end as lost when the shim that watches them is killed', async () => {
      const machine = await stage.create()
      await stage.link(machine)
      const [shim = 0] = rig.daemon.shims()
      const address = await readFile(`/proc/${shim}/cwd/address`, 'utf8')
      process.kill(shim, 'SIGKILL')
      expect(await soon(machine.exited, 'the end')).toEqual({ kind: 'lost' })
      expect(await codeOf(machine.connectGuest(AbortSignal.timeout(5_000)))).toBe('guest-unreachable')
      await rm(address.replace('unix://', '').trim(), { force: true })
    })

    it('are removed although containerd has forgotten that they run', async () => {
      const machine = await stage.create()
      const namespace = rig.containerd.namespace
      const bundle = join(rig.daemon.folder, 'state/io.containerd.runtime.v2.task', namespace, machine.id)
      await rig.daemon.kill()
      // Without its address containerd cannot find the shim again.
      const hidden = join(rig.daemon.folder, 'address')
      await rename(join(bundle, 'address'), hidden)
      await rig.daemon.restart()
      expect((await rig.containerd.tasks.list()).map(({ id }) => id)).not.toContain(machine.id)
      await stage.driver.destroy(machine.id)
      expect(await rig.leftovers()).toEqual([])
      await rm((await readFile(hidden, 'utf8')).replace('unix://', '').trim(), { force: true })
    })

    it('keep their image while they run, and bring it once for all', async () => {
      const before = rig.images.exports
      const other = rig.addLayer({ other: 'other' })
      const from = { kind: 'layers', lower: ['/'], image: other } as const
      const machines = await Promise.all([stage.create({ from }), stage.create({ from }), stage.create({ from })])
      expect(rig.images.exports).toBe(before + 1)
      const link = await stage.link(machines[0] ?? (await stage.create()))
      expect((await stage.run(link, ['cat', '/other'])).stdout).toBe('other')

      await stage.restart()
      await stage.create({ from })
      expect(rig.images.exports).toBe(before + 1)

      // Gone from the store: nobody new can have it, and those that run go on.
      rig.images.archives.delete(other)
      await stage.restart()
      await Array.fromAsync(stage.driver.recover())
      await rig.daemon.restart()
      const leases = await rig.containerd.leases.list()
      expect(leases.map(({ id }) => id)).not.toContainEqual(expect.stringContaining(other.slice('sha256:'.length)))
      const [first] = machines
      const still = await stage.link(await found(first ?? (await stage.create())))
      expect((await stage.run(still, ['cat', '/other'])).stdout).toBe('other')
    })

    it('tell what they have written, and stand still while it is read', async () => {
      const machine = await stage.create()
      const link = await stage.link(machine)
      await stage.shell(link, 'echo mine > /root/mine; rm /etc/group', 'root')
      if (!readsDisk(machine)) throw new Error('the machine cannot tell')
      {
        await using disk = await machine.readDisk({ signal: AbortSignal.timeout(5_000), progress: () => undefined })
        if (disk.kind !== 'upper') throw new Error('not a folder')
        const [part] = disk.parts
        expect(await readFile(join(part?.path ?? '', 'root/mine'), 'utf8')).toBe('mine\n')
        const { stdout } = await run('stat', ['-c', '%F %t %T', join(part?.path ?? '', 'etc/group')])
        expect(stdout.trim()).toBe('character special file 0 0')
        const silent = stage.run(link, ['true']).then(() => 'answered')
        expect(await Promise.race([silent, later(200, 'silent')])).toBe('silent')
      }
      expect((await stage.run(link, ['echo', 'awake'])).stdout).toBe('awake\n')
    })

    it('stay paused when their disk is read meanwhile', async () => {
      const machine = await stage.create()
      const link = await stage.link(machine)
      if (!readsDisk(machine) || !isPausable(machine)) throw new Error('the machine cannot')
      await machine.pause()
      await (
        await machine.readDisk({ signal: AbortSignal.timeout(5_000), progress: () => undefined })
      )[Symbol.asyncDispose]()
      const silent = stage.run(link, ['echo', 'awake'])
      expect(await Promise.race([silent, later(200, 'silent')])).toBe('silent')
      await machine.resume()
      expect((await silent).stdout).toBe('awake\n')
    })

    it('have volumes, to write to or not', async () => {
      const folder = join(rig.daemon.folder, 'volume')
      await mkdir(folder)
      await writeFile(join(folder, 'note'), 'kept')
      const volume = (target: string, readOnly: boolean) => ({ source: folder, target, readOnly })
      const machine = await stage.create({ volumes: [volume('/data/deep', false), volume('/shown', true)] })
      const link = await stage.link(machine)
      expect(
        (await stage.shell(link, 'cat /data/deep/note /shown/note; echo more > /data/deep/more', 'root')).stdout,
      ).toBe('keptkept')
      expect(await readFile(join(folder, 'more'), 'utf8')).toBe('more\n')
      expect((await stage.shell(link, 'echo no > /shown/no', 'root')).exit).not.toEqual({ kind: 'exited', code: 0 })
      await rm(folder, { recursive: true })
    })

    it('are held to their memory, told as out of memory, and go on', async () => {
      const machine = await stage.create({ limits: { memoryBytes: { value: 64 * MiB, required: true } } })
      const link = await stage.link(machine)
      const { exit } = await stage.shell(link, 'head -c 200m /dev/zero | tail -c 190m > /dev/null; exit $?')
      const direct = await stage.run(link, ['sh', '-c', 'exec tail -c 190m /dev/zero'])
      expect(direct.exit).toEqual({ kind: 'out-of-memory' })
      expect(exit).not.toEqual({ kind: 'exited', code: 0 })
      expect((await stage.run(link, ['echo', 'here'])).stdout).toBe('here\n')
      expect((await machine.stats()).memoryBytes).toBeGreaterThan(0)
    })

    it('are given other limits while they run, and keep them when they are adopted', async () => {
      const machine = await stage.create({ limits: { processes: { value: 20, required: true } } })
      if (!isResizable(machine)) throw new Error('the machine cannot be changed')
      const link = await stage.link(machine)
      const many = 'for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 5 & done; echo done'
      expect((await stage.shell(link, many)).stdout).toBe('')
      const changed = await machine.resize({ processes: { value: 64, required: true } })
      expect(changed).toEqual([{ name: 'processes', value: 64, enforced: true }])
      expect((await stage.shell(link, many)).stdout).toBe('done\n')
      expect(await codeOf(machine.resize({ diskBytes: { value: 64 * MiB, required: true } }))).toBe(
        'limit-not-enforceable',
      )
      await stage.restart()
      expect((await found(machine)).limits).toEqual(changed)
    })

    it('see no network but their own, and of the host nothing', async () => {
      const link = await stage.link(await stage.create())
      const sh = async (script: string) => (await stage.shell(link, script, 'root')).stdout.trim()
      expect(await sh("sed -n 's/^ *\\([^:]*\\):.*/\\1/p' /proc/net/dev")).toBe('lo')
      expect(await sh('cat /etc/hostname; hostname')).toBe('story\nstory')
      expect(await sh('grep story /etc/hosts')).toBe('127.0.0.1 story')
      expect(await sh("sed -n 's/^CapBnd:.//p;s/^NoNewPrivs:.//p;s/^Seccomp:.//p' /proc/self/status")).toBe(
        `${bounding()}\n1\n2`,
      )
      for (const forbidden of [
        'mount -t tmpfs none /mnt',
        'mknod /disk b 8 0',
        'echo 1 > /proc/sys/kernel/panic',
        'echo b > /proc/sysrq-trigger',
        'chroot /proc/1/root ls /proc/1/root/../../sys/fs/cgroup/memory/cgroup.procs',
        'hostname other',
        'echo 0 > /run/.cove-oom',
        'echo x > /run/.cove-agent',
        'unshare -m true',
      ]) {
        expect([forbidden, (await stage.shell(link, `${forbidden} 2>/dev/null`, 'root')).exit]).not.toEqual([
          forbidden,
          { kind: 'exited', code: 0 },
        ])
      }
    })

    it('are named from outside, and may not do so themselves', async () => {
      const machine = await stage.create()
      const link = await stage.link(machine)
      if (!isRenamable(machine)) throw new Error('the machine cannot be renamed')
      await machine.rename('other')
      expect((await stage.run(link, ['hostname'])).stdout).toBe('other\n')
    })

    it('cannot lead the daemon to a socket of the host', async () => {
      const path = join(rig.daemon.folder, 'trap.sock')
      let reached = false
      const server = createServer((socket) => {
        reached = true
        socket.destroy()
      })
      await once(server.listen(path), 'listening')
      const machine = await stage.create()
      const link = await stage.link(machine)
      const trap = async (script: string) => {
        expect((await stage.shell(link, script, 'root')).exit).toEqual({ kind: 'exited', code: 0 })
        return codeOf(machine.connectGuest(AbortSignal.timeout(500)))
      }
      const socket = '/run/.cove-socket'
      expect(await trap(`mv ${socket} /run/real; ln -s ${path} ${socket}`)).toMatch(
        /guest-unreachable|deadline|cancelled/,
      )
      expect(await trap(`rm ${socket}; echo > ${socket}`)).toMatch(/guest-unreachable|deadline|cancelled/)
      expect(reached).toBe(false)
      expect(await trap(`rm ${socket}; mv /run/real ${socket}`)).toBe('no error')
      server.close()
    })

    it('cost next to nothing beyond their shim', async () => {
      const machine = await stage.create()
      await stage.link(machine)
      expect(await ownMemory(await rig.agentPid(machine.id))).toBeLessThan(3 * MiB)
    })
  },
)

function bounding(): string {
  const numbers = [0, 1, 3, 4, 5, 10, 31, 6, 7, 18]
  return numbers
    .reduce((mask, bit) => mask | (1n << BigInt(bit)), 0n)
    .toString(16)
    .padStart(16, '0')
}

function later<T>(ms: number, value: T): Promise<T> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms, value)
  })
}
