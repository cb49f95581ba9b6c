import { createHash } from 'node:crypto'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { isPausable, type Machine, type SnapshotId } from '@cove/domain'
import type { GuestLink } from '@cove/guest-link'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { hasInternet, type HostRig } from '../../test/support/host-rig.ts'
import { noQemu, openQemuRig } from '../../test/support/qemu-rig.ts'
import { codeOf, soon, Stage } from '../conformance/index.ts'
import { SavableQemuMachine } from './savable-machine.ts'

const MiB = 1024 * 1024
/** What a fork may take beside what it shares. */
const MOST_MIB = 40
const LIMITS = { memoryBytes: { value: 256 * MiB, required: true } }

describe.skipIf(noQemu !== undefined)(
  `saved machines of QEMU${noQemu === undefined ? '' : ` (skipped: ${noQemu})`}`,
  () => {
    let rig: HostRig
    const stage = new Stage(async () => (rig = await openQemuRig()))
    beforeAll(() => stage.open())
    afterAll(() => stage.close())
    afterEach(() => stage.expectCleared())

    const start = async () => savable(await stage.create({ limits: LIMITS, hostname: 'source' }))
    const save = async (machine: Machine): Promise<SnapshotId> => {
      const id = stage.newSnapshot()
      await savable(machine).snapshotMemory(id, { signal: AbortSignal.timeout(60_000), progress: () => undefined })
      return id
    }
    const fromSnapshot = (id: SnapshotId) =>
      ({ from: { kind: 'snapshot', id, root: rig.from ?? { kind: 'host' } }, limits: LIMITS }) as const
    const fork = async (source: Machine, id: SnapshotId) => {
      const machine = await stage.create(fromSnapshot(id))
      stage.shareToken(source.id, machine.id)
      return { machine, link: await stage.link(machine) }
    }
    const says = async (link: GuestLink, script: string) => (await stage.shell(link, script, 'root')).stdout
    const snapshots = () => join(rig.folder, 'd/snapshots')

    it('become twenty at once, which share their memory, and nothing that should be their own', async () => {
      const source = await start()
      await says(await stage.link(source), 'true')
      const id = await save(source)
      const begun = performance.now()
      const forks = await Promise.all(Array.from({ length: 20 }, () => fork(source, id)))
      const said = await Promise.all(
        forks.map(async ({ link }) => (await says(link, 'od -An -N16 -tx1 /dev/urandom; date +%s')).trim().split('\n')),
      )
      const seconds = (performance.now() - begun) / 1000
      expect(new Set(said.map(([chance]) => chance)).size).toBe(20)
      for (const [, clock] of said) expect(Math.abs(Number(clock) * 1000 - Date.now())).toBeLessThan(60_000)
      const extra = (await Promise.all(forks.map(({ machine }) => pssOf(rig, machine)))).toSorted((a, b) => a - b)
      console.log(`20 forks answer after ${seconds.toFixed(2)} s, each has ${extra.map(Math.round).join(' ')} MiB`)
      expect(extra.at(10)).toBeLessThan(MOST_MIB)
    })

    it('stay as they are, whatever machines of theirs do with their memory', async () => {
      const source = await start()
      await says(await stage.link(source), 'head -c 20m /dev/zero | tr "\\0" x > /tmp/much')
      const id = await save(source)
      const ram = join(snapshots(), id, 'ram')
      const before = digestOf(ram)
      const one = await fork(source, id)
      // Given back: QEMU makes holes in what it believes to be its own.
      await savable(one.machine).setMemoryTarget(120 * MiB)
      await says(
        one.link,
        'rm /tmp/much; echo 3 > /proc/sys/vm/drop_caches; sleep 3; head -c 5m /dev/urandom > /tmp/other',
      )
      expect(digestOf(ram)).toBe(before)
      const two = await fork(source, id)
      expect(await says(two.link, 'tr -d x < /tmp/much | wc -c; wc -c < /tmp/much')).toBe(`0\n${20 * MiB}\n`)
      const third = await fork(one.machine, await save(one.machine))
      expect(await says(third.link, 'ls /tmp; cat /tmp/other | sha256sum')).toBe(
        await says(one.link, 'ls /tmp; cat /tmp/other | sha256sum'),
      )
    })

    it.runIf(hasInternet)('have addresses of their own on a network of their own', async () => {
      const network = { kind: 'internet', allow: [] } as const
      const source = savable(await stage.create({ limits: LIMITS, network }))
      const look = 'cd /sys/class/net/eth0; cat address carrier flags; grep -c 00000000 /proc/net/route'
      const seen = [await says(await stage.link(source), look)]
      const id = await save(source)
      for (let count = 0; count < 2; count++) {
        const machine = await stage.create({ ...fromSnapshot(id), network })
        stage.shareToken(source.id, machine.id)
        seen.push(await says(await stage.link(machine), look))
      }
      expect(new Set(seen).size).toBe(3)
      for (const text of seen) expect(text).toMatch(/^02(:[0-9a-f]{2}){5}\n1\n0x1003\n[1-9]\n$/)
    })

    it('are refused where they do not fit, or are not whole, with the reason and what to do', async () => {
      const source = await start()
      await stage.link(source)
      const id = await save(source)
      const place = (name: string) => join(snapshots(), id, name)
      const text = await readFile(place('manifest.json'), 'utf8')
      const manifest = JSON.parse(text) as { readonly vm: object }
      const refusal = async (spec = {}) => {
        const made = stage.create({ ...fromSnapshot(id), ...spec })
        const error: unknown = await made.then(
          () => 'no error',
          (reason: unknown) => reason,
        )
        expect(error).toMatchObject({ code: 'unsupported', fix: expect.stringMatching(/./) })
        return error instanceof Error ? error.message : ''
      }
      const others: readonly (readonly [string, string | number | boolean, string])[] = [
        ['monitor', 'QEMU 1.0', 'QEMU 1.0'],
        ['cpu', 'Pentium', 'the processor Pentium'],
        ['accelerator', 'kvm', 'kvm'],
        ['system', 'f'.repeat(64), 'the guest system ffffffffffff'],
        ['root', 'other', 'root'],
        ['volumes', 2, '2 volumes'],
        ['network', true, 'the network `internet`'],
        ['memoryBytes', 512 * MiB, '512 MiB'],
        ['cpus', 3, '3 processors'],
      ]
      for (const [name, value, told] of others) {
        await writeFile(place('manifest.json'), JSON.stringify({ ...manifest, vm: { ...manifest.vm, [name]: value } }))
        expect(await refusal()).toContain(told)
      }
      await writeFile(place('manifest.json'), '{"version":2}')
      expect(await refusal()).toContain('another version of Cove')
      await writeFile(place('manifest.json'), text)
      expect(await refusal({ limits: { memoryBytes: { value: 200 * MiB, required: true } } })).toContain('256 MiB')
      for (const name of ['state', 'ram', 'disk.img']) {
        const kept = join(rig.folder, 'kept')
        await rename(place(name), kept)
        const { size } = await stat(kept)
        const empty = async (bytes: number) => {
          await writeFile(place(name), '')
          await truncate(place(name), bytes)
        }
        // Gone; something else; cut short; as a file is after a crash of the host whose content had not been written yet.
        for (const spoil of [
          () => Promise.resolve(),
          () => writeFile(place(name), 'x'),
          () => empty(size - 4096),
          () => empty(size),
        ]) {
          await spoil()
          expect(await refusal()).toContain('damaged')
        }
        await rename(kept, place(name))
      }
      expect(await says((await fork(source, id)).link, 'echo whole')).toBe('whole\n')
    })

    it('are none of a machine that ends meanwhile', async () => {
      const source = await start()
      await stage.link(source)
      const saving = codeOf(save(source))
      await source.stop(0)
      expect(['wrong-state', 'no error']).toContain(await saving)
      expect(await codeOf(save(source))).toBe('wrong-state')
      expect((await readdir(snapshots())).filter((name) => name.startsWith('.'))).toEqual([])
    })

    it('are not there when the disk is full, and the machine goes on', async () => {
      const source = await start()
      const link = await stage.link(source)
      await says(link, 'echo before > /tmp/note')
      execFileSync('/usr/bin/mount', ['-t', 'tmpfs', '-o', 'size=4m', 'cove-test', snapshots()])
      try {
        expect(await codeOf(save(source))).toBe('no-space')
        expect(await readdir(snapshots())).toEqual([])
        expect(await stage.snapshots.listSnapshots()).toEqual([])
      } finally {
        execFileSync('/usr/bin/umount', [snapshots()])
      }
      expect(await says(link, 'cat /tmp/note')).toBe('before\n')
    })

    it('may be cut off by the end of the daemon: the next one has the machine go on', async () => {
      const source = await start()
      await says(await stage.link(source), 'echo before > /tmp/note')
      if (!isPausable(source)) throw new Error('the machine cannot be paused')
      await source.pause()
      const aside = join(snapshots(), `.new-${stage.newSnapshot()}`)
      await mkdir(aside, { recursive: true })
      await writeFile(join(aside, 'machine'), source.id)
      await stage.restart()
      const [found] = await soon(Array.fromAsync(stage.driver.recover()), 'the recovery')
      if (found?.kind !== 'running') throw new Error('the machine is gone')
      expect(await says(await stage.link(found.machine), 'cat /tmp/note')).toBe('before\n')
      expect(await readdir(snapshots())).toEqual([])
    })

    it('are finished by nobody when the daemon is killed that made one: the machine goes on', async () => {
      const source = await start()
      const link = await stage.link(source)
      await says(link, 'head -c 30m /dev/urandom > /tmp/much; echo before > /tmp/note')
      await stage.closeLinks()
      const id = stage.newSnapshot()
      const script = fileURLToPath(new URL('../../test/support/save-and-wait.ts', import.meta.url))
      const args = [script, rig.folder, rig.parts.installation, source.id, id]
      const daemon = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit'] })
      const ended = once(daemon, 'close')
      // When its memory is being copied it stands still.
      const isCopied = () => existsSync(join(snapshots(), `.new-${id}`, 'ram'))
      while (!isCopied() && daemon.exitCode === null) await setImmediate()
      daemon.kill('SIGKILL')
      await ended
      expect(daemon.signalCode).toBe('SIGKILL')
      await stage.restart()
      const [found] = await soon(Array.fromAsync(stage.driver.recover()), 'the recovery')
      if (found?.kind !== 'running') throw new Error('the machine is gone')
      expect(await says(await stage.link(found.machine), 'cat /tmp/note')).toBe('before\n')
      expect(await readdir(snapshots())).toEqual([])
    })

    it('leave nothing of a disk that was read only in part', async () => {
      const source = await start()
      await says(await stage.link(source), 'echo note > /root/note; sync')
      const content = await source.readDisk({ signal: AbortSignal.timeout(60_000), progress: () => undefined })
      if (content.kind !== 'tar') throw new Error('not an archive')
      for await (const piece of content.tar) {
        expect(piece.length).toBeGreaterThan(0)
        break
      }
      await content[Symbol.asyncDispose]()
      for (const name of ['packs', 'pack-disks']) expect(await readdir(join(rig.folder, 'd', name))).toEqual([])
      expect((await rig.parts.launcher.list()).map((process) => process.id)).toEqual([`qemu-${source.id}`])
    })
  },
)

function savable(machine: Machine): SavableQemuMachine {
  if (!(machine instanceof SavableQemuMachine)) throw new Error('the machine cannot be saved')
  return machine
}

const digestOf = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex')

/** Of all processes of a machine, in MiB: shared memory counts in parts. */
async function pssOf(rig: HostRig, machine: Machine): Promise<number> {
  const leader = (await rig.parts.launcher.get(`qemu-${machine.id}`))?.pid ?? 0
  const below = (pid: number): readonly number[] => {
    const tasks = readdirSync(`/proc/${pid}/task`)
    const children = tasks.flatMap((task) => readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' '))
    return [pid, ...children.filter(Boolean).map(Number).flatMap(below)]
  }
  const kib = below(leader).map((pid) =>
    Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1]),
  )
  return kib.reduce((sum, one) => sum + one, 0) / 1024
}
