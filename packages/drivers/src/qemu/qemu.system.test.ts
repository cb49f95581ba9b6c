import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, open, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { isPausable, type DiskId, type MachineSpec } from '@cove/domain'
import type { GuestSystem } from '@cove/guest-system'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { HostRig } from '../../test/support/host-rig.ts'
import { noQemu, openQemuRig, testGuestSystems } from '../../test/support/qemu-rig.ts'
import { codeOf, soon, Stage } from '../conformance/index.ts'
import { AGENT_PATH } from '../launched/stage.ts'
import { MIN_VM_MEMORY_BYTES } from '../microvm/vm-problems.ts'
import { createQemuDriver } from './driver.ts'
import { pipesOf } from './machine-spec.ts'
import { QemuMachine } from './qemu-machine.ts'

const MiB = 1024 * 1024
const required = (value: number) => ({ value, required: true })
const OK = { kind: 'exited', code: 0 }

describe.skipIf(noQemu !== undefined)(`QEMU${noQemu === undefined ? '' : ` (skipped: ${noQemu})`}`, () => {
  let rig: HostRig
  let folder = ''
  const stage = new Stage(async () => (rig = await openQemuRig()))
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'cove-test-'))
    await stage.open()
  })
  afterAll(async () => {
    await stage.close()
    await rm(folder, { recursive: true })
  })
  afterEach(() => stage.expectCleared())

  const create = async (spec: Partial<MachineSpec> = {}): Promise<QemuMachine> => {
    const machine = await stage.create(spec)
    if (!(machine instanceof QemuMachine)) throw new Error('not a machine of QEMU')
    return machine
  }

  const problems = (spec: Partial<MachineSpec>) =>
    stage.driver.validate({ ...stage.plain, ...spec }).map(({ field, fix }) => [field, fix.length > 0])
  const using = async (system: Partial<GuestSystem> | undefined, story: (other: Stage) => Promise<void>) => {
    const real = await testGuestSystems.current(AbortSignal.timeout(60_000))
    if (real === undefined) throw new Error('there is no kernel')
    const guestSystems = {
      current: () => Promise.resolve(system === undefined ? undefined : { ...real, ...system }),
    }
    const parts = { ...rig.parts, stateDir: join(folder, 'other') }
    const driver = createQemuDriver({ ...parts, guestSystems })
    const other = new Stage(async () => ({ ...rig, driver, [Symbol.asyncDispose]: () => driver.close() }))
    await other.open()
    try {
      await story(other)
      await other.expectCleared()
    } finally {
      await other.close()
      await rm(parts.stateDir, { recursive: true, force: true })
    }
  }

  it('has a kernel of its own, and QEMU can do nothing but run it', async () => {
    const machine = await create({ hostname: 'box' })
    const link = await stage.link(machine)
    const { stdout } = await stage.shell(
      link,
      'uname -r; hostname; cat /etc/hostname; ls /sys/class/net | grep -c eth',
      'root',
    )
    const system = await testGuestSystems.current(AbortSignal.timeout(60_000))
    expect(stdout).toBe(`${system?.version}\nbox\nbox\n0\n`)
    const pid = await rig.agentPid(machine.id)
    const status = await readFile(`/proc/${pid}/status`, 'utf8')
    expect(status).toMatch(/^Seccomp:\t2$/m)
    expect(status).toMatch(/^NoNewPrivs:\t1$/m)
    expect(status).toMatch(/^CapEff:\t0{16}$/m)
    expect(Number(/^Uid:\t(\d+)/m.exec(status)?.[1])).toBeGreaterThan(100_000)
    // Programs and libraries of the host, and its own files.
    expect((await readdir(`/proc/${pid}/root`)).filter((name) => !/^(s?bin|lib.*)$/.test(name)).toSorted()).toEqual([
      'config',
      'dev',
      'disk',
      'initrd',
      'kernel',
      'pipes',
      'proc',
      'usr',
    ])
    expect((await readFile(`/proc/${pid}/net/dev`, 'utf8')).split('\n')).toHaveLength(4)
  })

  it('stands still, clock and all, also for a daemon that comes later', async () => {
    const machine = await create()
    const link = await stage.link(machine)
    const uptime = async (of = link) => Number((await stage.shell(of, 'cut -d " " -f 1 /proc/uptime')).stdout)
    const before = await uptime()
    await machine.pause()
    const answer = link.processes().then(() => 'answered')
    expect(await Promise.race([answer, delay(1_500, 'still')])).toBe('still')
    await machine.resume()
    expect(await soon(answer, 'the answer')).toBe('answered')
    expect((await uptime()) - before).toBeLessThan(1.4)
    await machine.pause()
    await stage.restart()
    const [found] = await Array.fromAsync(stage.driver.recover())
    if (found?.kind !== 'running' || !isPausable(found.machine)) throw new Error('it is not there')
    await found.machine.resume()
    expect((await uptime(await stage.link(found.machine))) - before).toBeGreaterThan(0)
    expect(await found.machine.stop(10_000)).toEqual(OK)
  })

  it('survives what its workload does to memory, disk and console', async () => {
    const limits = { memoryBytes: required(160 * MiB), diskBytes: required(64 * MiB) }
    const machine = await create({ limits })
    const link = await stage.link(machine)
    // 1 GB, as fast as it goes; the machine goes on meanwhile, and the host keeps the end of it.
    await stage.shell(link, 'head -c 1000000000 /dev/zero | tr "\\0" x > /dev/console 2>/dev/null &', 'root')
    const hungry = await stage.shell(link, 'head -c 400m /dev/zero | tail -c 400m | wc -c')
    expect(hungry.stdout).not.toBe(`${400 * MiB}\n`)
    const full = await stage.shell(
      link,
      'dd if=/dev/zero of=/var/tmp/big bs=1M count=100; rm /var/tmp/big; echo on',
      'root',
    )
    expect(full.stderr).toMatch(/No space left/)
    expect(full.stdout).toBe('on\n')
    expect((await machine.stats()).diskBytes).toBeLessThan(70 * MiB)
    expect((await stage.run(link, ['echo', 'alive'])).stdout).toBe('alive\n')
    const tail = await machine.consoleTail(1_000)
    expect(Buffer.from(tail).toString()).toMatch(/^x{1000}$/)
    expect((await machine.consoleTail(1024 ** 3)).length).toBeLessThanOrEqual(64 * 1024)
  })

  it('gives memory back', async () => {
    const machine = await create({ limits: { memoryBytes: required(256 * MiB) } })
    const link = await stage.link(machine)
    const held = async () => (await stat(await machine.memoryFile())).blocks * 512
    await stage.shell(link, 'dd if=/dev/zero of=/tmp/big bs=1M count=100 2>/dev/null; rm /tmp/big', 'root')
    const before = await held()
    await machine.setMemoryTarget(96 * MiB)
    for (const end = performance.now() + 20_000; (await held()) > 100 * MiB && performance.now() < end;) await delay(50)
    expect(await held()).toBeLessThanOrEqual(100 * MiB)
    expect(before).toBeGreaterThan(0)
    await machine.setMemoryTarget(256 * MiB)
    expect((await stage.run(link, ['echo', 'alive'])).stdout).toBe('alive\n')
  })

  it('ends with its kernel, and says why', async () => {
    const machine = await create({ limits: { memoryBytes: required(96 * MiB) } })
    const link = await stage.link(machine)
    const panic = 'echo 2 > /proc/sys/vm/panic_on_oom; tail /dev/zero'
    const started = stage.shell(link, panic, 'root').catch(() => undefined)
    expect(await soon(machine.exited, 'the end of the machine')).toEqual({ kind: 'lost' })
    await started
    await expect(machine.connectGuest(AbortSignal.timeout(10_000))).rejects.toMatchObject({
      code: 'guest-unreachable',
      message: expect.stringContaining('kernel panic') as string,
    })
  })

  it('works in an image with nothing in it', async () => {
    const empty = join(folder, 'empty')
    await mkdir(empty)
    const link = await stage.link(await stage.create({ from: { kind: 'layers', lower: [empty] } }))
    expect((await stage.run(link, [AGENT_PATH, 'version'])).exit).toEqual(OK)
  })

  it('finds its agent behind whatever the guest says besides', async () => {
    const machine = await create()
    const link = await stage.link(machine)
    const { stdout } = pipesOf(await rig.agentPid(machine.id))
    await using pipe = await open(stdout, 'w')
    await pipe.write(randomBytes(32 * 1024))
    await stage.run(link, ['echo', 'lost']).catch(() => undefined)
    await link.close()
    expect((await stage.run(await stage.link(machine), ['echo', 'found'])).stdout).toBe('found\n')
  })

  it('takes no disk for a format that points at files of the host', async () => {
    const disk = stage.newDisk()
    const first = await create({ disk })
    await stage.link(first)
    await first.stop(10_000)
    await stage.driver.destroy(first.id)
    await writeFile(imageOf(rig, disk), qcow2Over('/etc/shadow'), { flag: 'r+' })
    const second = await create({ disk })
    expect(await soon(second.exited, 'the end of the machine')).toEqual({ kind: 'lost' })
    await expect(second.connectGuest(AbortSignal.timeout(10_000))).rejects.toThrow(/mount the disk to write to/)
  })

  it('refuses what no machine can be', async () => {
    expect(problems({ from: { kind: 'host' } })).toEqual([['from', true]])
    expect(problems({ limits: { memoryBytes: required(MIN_VM_MEMORY_BYTES - MiB) } })).toEqual([
      ['limits.memoryBytes', true],
    ])
    for (const [cpus, code] of [
      [0, 'invalid-argument'],
      [10_000, 'limit-not-enforceable'],
    ] as const) {
      expect(problems({ limits: { cpus: required(cpus) } })).toEqual([['limits.cpus', true]])
      expect(await codeOf(create({ limits: { cpus: required(cpus) } }))).toBe(code)
    }
    expect(await codeOf(create({ from: { kind: 'host' } }))).toBe('invalid-argument')
  })

  it('runs with the least memory that it takes', async () => {
    const machine = await create({ limits: { memoryBytes: required(MIN_VM_MEMORY_BYTES) } })
    expect((await stage.run(await stage.link(machine), ['echo', 'small'])).stdout).toBe('small\n')
  })

  describe('with another kernel', () => {
    it('is not proven without a kernel, and says how to get one', async () => {
      await using(undefined, async (other) => {
        expect(await other.driver.fingerprint(AbortSignal.timeout(60_000))).toMatchObject({
          proven: false,
          fix: expect.stringContaining('cove kernel build') as string,
        })
        expect(await codeOf(other.create())).toBe('isolation-unavailable')
      })
    })

    it.each([
      ['garbage', async (path: string) => writeFile(path, Buffer.alloc(MiB, 'no kernel '))],
      ['cut short', async (path: string) => truncate(path, 3 * MiB)],
      ['without its code', async (path: string) => blank(path)],
    ] as const)('is not proven with a kernel that is %s, and leaves nothing', async (_, spoil) => {
      const kernel = join(folder, 'kernel')
      const real = await testGuestSystems.current(AbortSignal.timeout(60_000))
      await writeFile(kernel, await readFile(real?.kernel ?? ''), { mode: 0o644 })
      await spoil(kernel)
      await using({ kernel }, async (other) => {
        const fingerprint = await other.driver.fingerprint(AbortSignal.timeout(60_000))
        expect(fingerprint).toMatchObject({
          proven: false,
          reason: expect.stringContaining('no machine runs') as string,
        })
        expect(await rig.leftovers()).toEqual([])
      })
    })
  })
})

const imageOf = (rig: HostRig, disk: DiskId): string => join(rig.parts.stateDir, 'disks', disk, 'disk.img')

/** The header of a qcow2 image with a backing file. */
function qcow2Over(backing: string): Buffer {
  const header = Buffer.alloc(64 * 1024)
  header.write('QFI\u00fb', 'latin1')
  header.writeUInt32BE(2, 4)
  header.writeBigUInt64BE(4096n, 8)
  header.writeUInt32BE(backing.length, 16)
  header.writeUInt32BE(16, 20)
  header.writeBigUInt64BE(BigInt(64 * MiB), 24)
  header.write(backing, 4096)
  return header
}

/** The headers stay, and lead to nothing. */
async function blank(path: string): Promise<void> {
  const { size } = await stat(path)
  await using file = await open(path, 'r+')
  const zeros = Buffer.alloc(MiB)
  for (let at = 64 * 1024; at < size; at += zeros.length)
    await file.write(zeros, 0, Math.min(zeros.length, size - at), at)
}
