import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { isPausable, savesMemory, type Machine, type SnapshotId } from '@cove/domain'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { noGvisor, openGvisorRig } from '../../test/support/gvisor-rig.ts'
import type { HostRig } from '../../test/support/host-rig.ts'
import { codeOf, soon, Stage } from '../conformance/index.ts'

const MiB = 1024 * 1024
const GiB = 1024 * MiB
const required = (value: number) => ({ value, required: true })

describe.skipIf(noGvisor !== undefined)(`gVisor${noGvisor === undefined ? '' : ` (skipped: ${noGvisor})`}`, () => {
  let rig: HostRig
  const stage = new Stage(async () => (rig = await openGvisorRig()))
  beforeAll(() => stage.open())
  afterAll(() => stage.close())
  afterEach(() => stage.expectCleared())

  const watcherOf = async (machine: Machine): Promise<number> =>
    (await rig.parts.launcher.get(`gvisor-${machine.id}`))?.pid ?? 0
  const save = async (machine: Machine): Promise<SnapshotId> => {
    if (!savesMemory(machine)) throw new Error('the machine cannot be saved')
    const id = stage.newSnapshot()
    await machine.snapshotMemory(id, { signal: AbortSignal.timeout(30_000), progress: () => undefined })
    return id
  }
  const fromSnapshot = (id: SnapshotId) =>
    ({ from: { kind: 'snapshot', id, root: rig.from ?? { kind: 'host' } } }) as const

  it('has a kernel of its own, and shows nothing of the host', async () => {
    const link = await stage.link(await stage.create({ hostname: 'box' }))
    const { stdout } = await stage.shell(
      link,
      'dmesg; hostname; cat /etc/hostname; ls /proc/1/root/ >/dev/null',
      'root',
    )
    expect(stdout).toContain('Starting gVisor')
    expect(stdout.endsWith('box\nbox\n')).toBe(true)
    // The wall is the kernel; what root may do behind it is little all the same.
    expect((await stage.shell(link, 'mount -t tmpfs none /mnt || hostname other', 'root')).exit).not.toEqual({
      kind: 'exited',
      code: 0,
    })
  })

  it('ends with the memory that it may have, and says so', async () => {
    const machine = await stage.create({ limits: { memoryBytes: required(64 * MiB) } })
    const link = await stage.link(machine)
    await stage.shell(link, 'head -c 300m /dev/zero | tail -n 1 | wc -c', 'root').catch(() => undefined)
    expect(await soon(machine.exited, 'the end of the machine')).toEqual({ kind: 'out-of-memory' })
  })

  it('gets no more of the processors than it may have', async () => {
    const machine = await stage.create({ limits: { cpus: required(0.3) } })
    const link = await stage.link(machine)
    const before = (await machine.stats()).cpuMs ?? 0
    const began = performance.now()
    await stage.shell(link, 'n=0; while [ $n -lt 300000 ]; do n=$((n+1)); done', 'root')
    const used = ((await machine.stats()).cpuMs ?? 0) - before
    // 0.3 for what runs in it, 0.2 for what is around it.
    expect(used / (performance.now() - began)).toBeLessThan(0.6)
  })

  it('has a disk of a size, and an error when it is full', async () => {
    const machine = await stage.create({ limits: { diskBytes: required(32 * MiB) } })
    const link = await stage.link(machine)
    const { exit, stderr } = await stage.shell(link, 'head -c 64m /dev/zero > ~/large', 'root')
    expect([exit, stderr]).toEqual([{ kind: 'exited', code: 1 }, expect.stringMatching(/No space left|I\/O error/)])
    expect((await stage.shell(link, 'rm ~/large; echo fits > ~/small; cat ~/small', 'root')).stdout).toBe('fits\n')
  })

  it.each(['gofer', 'sandbox', 'watcher'])('ends when its %s is killed, tells it, and leaves nothing', async (whom) => {
    const machine = await stage.create()
    await stage.link(machine)
    const watcher = await watcherOf(machine)
    const names = new Map<string, number>([['watcher', watcher]])
    for (const pid of await startedBy(watcher)) {
      const name = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0', 1)[0] ?? ''
      names.set(name.replace('runsc-', ''), pid)
    }
    const pid = names.get(whom)
    if (pid === undefined || pid === 0) throw new Error(`there is no ${whom} in ${[...names.keys()].join(' ')}`)
    process.kill(pid, 'SIGKILL')
    expect(await soon(machine.exited, 'the end of the machine')).toEqual({ kind: 'signaled', signal: 9 })
    expect(await codeOf(machine.connectGuest(AbortSignal.timeout(5_000)))).toBe('guest-unreachable')
    await stage.driver.destroy(machine.id)
    expect(await rig.leftovers()).toEqual([])
  })

  it('tells of processes inside nothing that it does not know', async () => {
    const machine = await stage.create({ limits: { processes: { value: 64, required: false } } })
    expect(machine.limits).toEqual([{ name: 'processes', value: 64, enforced: false, reason: expect.any(String) }])
    expect(Object.keys(await machine.stats()).toSorted()).toEqual(['cpuMs', 'memoryBytes'])
  })

  const saving = async (): Promise<string> => {
    const names = await readdir(join(rig.folder, 'd/snapshots'))
    return join(rig.folder, 'd/snapshots', names.find((name) => name.startsWith('.new-')) ?? '.none')
  }
  it.each<[string, () => Promise<boolean>]>([
    ['begun to save its memory', async () => isThere(join(await saving(), 'image'))],
    [
      'told its kernel to stand still',
      async () => (await rig.parts.launcher.list()).some(({ id }) => id.startsWith('runsc-')),
    ],
    ['told its kernel to save itself', async () => isThere(join(await saving(), 'program'))],
    ['saved a part of its memory', async () => (await readdir(join(await saving(), 'image'))).length > 0],
  ])('goes on when the daemon was killed that had %s', async (_moment, isNow) => {
    const machine = await stage.create()
    const link = await stage.link(machine)
    await stage.shell(link, 'head -c 30m /dev/urandom > /tmp/much', 'root')
    // Nobody is left to be told.
    const ended: string[] = []
    void codeOf(save(machine)).then((code) => ended.push(code))
    const end = performance.now() + 30_000
    while (ended.length === 0 && !(await isNow().catch(() => false)) && performance.now() < end) await setImmediate()
    expect(ended).toEqual([])
    await stage.restart()
    const found = await Array.fromAsync(stage.driver.recover())
    const adopted = found.find((item) => item.kind === 'running' && item.machine.id === machine.id)
    if (adopted?.kind !== 'running') throw new Error('the machine is gone')
    expect((await stage.shell(await stage.link(adopted.machine), 'echo on')).stdout).toBe('on\n')
    for (const name of await readdir(join(rig.folder, 'd/snapshots'))) expect(name.startsWith('.')).toBe(false)
  })

  it('holds nobody up when the daemon was killed after a paused machine was saved', async () => {
    const machine = await stage.create()
    await stage.link(machine)
    if (!isPausable(machine)) throw new Error('the machine is not pausable')
    await machine.pause()
    // As the daemon leaves it that is killed a moment before the snapshot is whole.
    const aside = join(rig.folder, 'd/snapshots', `.new-${stage.newSnapshot()}`)
    await mkdir(aside, { recursive: true })
    await writeFile(join(aside, 'machine'), machine.id)
    await stage.restart()
    const [found] = await soon(Array.fromAsync(stage.driver.recover()), 'the recovery')
    if (found?.kind !== 'running' || !isPausable(found.machine)) throw new Error('the machine is gone')
    await found.machine.resume()
    expect((await stage.shell(await stage.link(found.machine), 'echo on')).stdout).toBe('on\n')
  })

  it('saves a machine whose files have the strangest names and sizes', async () => {
    const machine = await stage.create()
    const link = await stage.link(machine)
    const script = `set -e; cd ~; echo x > "$(printf '\\377\\376')"; truncate -s ${64 * GiB} large; echo y > one; ln one two`
    expect((await stage.shell(link, script, 'root')).exit).toEqual({ kind: 'exited', code: 0 })
    if (!savesMemory(machine)) throw new Error('the machine cannot be saved')
    const id = stage.newSnapshot()
    const signal = AbortSignal.timeout(30_000)
    const { bytes } = await machine.snapshotMemory(id, { signal, progress: () => undefined })
    expect(bytes).toBeLessThan(256 * MiB)
    const fork = await stage.create(fromSnapshot(id))
    stage.shareToken(machine.id, fork.id)
    const { stdout, stderr } = await stage.shell(await stage.link(fork), 'cd ~; stat -c %s large; ls | wc -l', 'root')
    expect([stdout, stderr]).toEqual([`${64 * GiB}\n4\n`, ''])
  })

  it('refuses a snapshot that does not fit, with the reason, and nothing is left', async () => {
    const source = await stage.create()
    await stage.link(source)
    const id = await save(source)
    const path = join(rig.folder, 'd/snapshots', id, 'manifest.json')
    const manifest = await readFile(path, 'utf8')
    for (const [change, reason] of [
      [{ runsc: 'runsc version 1' }, /saved by runsc version 1/],
      [{ volumes: ['/data'] }, /volumes at \/data/],
      [{ version: 2 }, /another version of Cove/],
    ] as const) {
      await writeFile(path, JSON.stringify({ ...(JSON.parse(manifest) as object), ...change }))
      const refused = stage.create(fromSnapshot(id))
      await expect(refused).rejects.toMatchObject({ code: 'unsupported', message: expect.stringMatching(reason) })
    }
    await writeFile(path, manifest)
    const network = { kind: 'internet', allow: [] } as const
    expect(await codeOf(stage.create({ ...fromSnapshot(id), network }))).toBe('network-unavailable')
    await stage.driver.destroy(source.id)
    expect(await rig.leftovers()).toEqual([])
    await stage.create(fromSnapshot(id))
  })

  it('tells a snapshot that cannot be read as a machine that was lost', async () => {
    const source = await stage.create()
    await stage.link(source)
    const id = await save(source)
    await writeFile(join(rig.folder, 'd/snapshots', id, 'image/checkpoint.img'), 'nonsense')
    const machine = await stage.create(fromSnapshot(id))
    expect(await soon(machine.exited, 'the end of the machine')).toEqual({ kind: 'lost' })
    expect(await codeOf(machine.connectGuest(AbortSignal.timeout(5_000)))).toBe('guest-unreachable')
  })
})

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )

/** Children of all its threads. */
async function startedBy(pid: number): Promise<readonly number[]> {
  const threads = await readdir(`/proc/${pid}/task`)
  const lists = threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/children`, 'utf8'))
  return (await Promise.all(lists)).flatMap((list) => list.trim().split(' ').filter(Boolean).map(Number))
}
