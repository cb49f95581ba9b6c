import { chmod, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isPausable } from '@cove/domain'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { GUEST_PROGRAM, isRoot, openHostRig, type HostRig } from '../../test/support/host-rig.ts'
import { codeOf, PLAIN, soon, Stage } from '../conformance/index.ts'
import { createBubblewrapDriver } from './driver.ts'

const MiB = 1024 * 1024
const required = (value: number) => ({ value, required: true })

let rig: HostRig
const stage = new Stage(async () => {
  rig = await openHostRig({
    prefix: 'bwrap-',
    agent: 'child',
    open: createBubblewrapDriver,
    traits: { users: ['user'], enforces: [], ownFiles: true, pausable: isRoot },
  })
  return rig
})
const open = (more: { bwrap?: string; guestProgram?: string; stateDir?: string }) =>
  createBubblewrapDriver({ ...rig.parts, stateDir: `${rig.parts.stateDir}2`, ...more })

async function* chunks(text: string): AsyncIterable<Uint8Array> {
  yield await Promise.resolve(Buffer.from(text))
}

beforeAll(() => stage.open())
afterAll(() => stage.close())
afterEach(() => stage.expectCleared())

describe('inside', () => {
  it('looks like a small Linux with a name, a user and python', async () => {
    const link = await stage.link(await stage.create({ hostname: 'brave-fox' }))
    const script =
      'hostname; cat /etc/hostname; pwd; id -un; python -c "print(6*7)"; echo $PATH; test -w /tmp && echo writable'
    const { stdout } = await stage.shell(link, script)
    const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
    expect(stdout).toBe(`brave-fox\nbrave-fox\n/home/user\nuser\n42\n${path}\nwritable\n`)
  })

  it('has what programs need: devices, a terminal, name service, certificates', async () => {
    const link = await stage.link(await stage.create())
    const script = [
      'echo x > /dev/null',
      'head -c 4 /dev/urandom | wc -c',
      'getent hosts localhost | wc -l',
      'ls /etc/ssl/certs | head -1 | wc -l',
      'python3 -c "import os; m, s = os.openpty(); print(os.ttyname(s))"',
      'python3 -c "import threading; t = threading.Thread(target=print, args=(1,)); t.start(); t.join()"',
      'python3 -c "import multiprocessing as m; print(m.Lock().__class__.__name__)"',
    ]
    const { stdout, exit } = await stage.shell(link, `set -e; ${script.join('; ')}`)
    expect(exit).toEqual({ kind: 'exited', code: 0 })
    expect(stdout).toMatch(/^4\n1\n[01]\n\/dev\/pts\/\d+\n1\nLock\n$/)
  })
})

describe('from layers', () => {
  it('shows the first on top and nothing of the host, and keeps what is written to itself', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'cove-test-'))
    try {
      const [top, bottom] = [join(folder, 'top'), join(folder, 'bottom')]
      for (const path of [`${top}/etc`, `${bottom}/etc`, `${bottom}/bin`]) await mkdir(path, { recursive: true })
      await writeFile(`${top}/etc/name`, 'top')
      await writeFile(`${bottom}/etc/name`, 'bottom')
      await writeFile(`${bottom}/etc/passwd`, 'root:x:0:0::/:/bin/hello\nuser:x:1000:1000::/:/bin/hello\n')
      // A static program that needs nothing around it.
      await cp(GUEST_PROGRAM, `${bottom}/bin/hello`)
      const link = await stage.link(await stage.create({ from: { kind: 'layers', lower: [top, bottom] } }))
      expect((await stage.run(link, ['/bin/hello', 'version'])).exit).toEqual({ kind: 'exited', code: 0 })
      const { content } = await link.readFile('/etc/name')
      expect(Buffer.concat(await Array.fromAsync(content)).toString()).toBe('top')
      await expect(link.stat('/usr')).rejects.toMatchObject({ code: 'file-not-found' })
      await link.writeFile('/etc/name', chunks('changed'), { user: isRoot ? 'root' : 'user' })
      expect(await readFile(`${top}/etc/name`, 'utf8')).toBe('top')
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})

describe.runIf(isRoot)('a disk', () => {
  it('of a fixed size keeps its files and their owners, whatever ids the next machine has', async () => {
    const disk = stage.newDisk()
    const limits = { diskBytes: required(64 * MiB) }
    const first = await stage.create({ disk, limits })
    expect(first.limits).toEqual([{ name: 'diskBytes', value: 64 * MiB, enforced: true }])
    await stage.shell(await stage.link(first), 'echo kept > /home/user/note')
    await stage.driver.destroy(first.id)

    await stage.create()
    const second = await stage.create({ disk, limits })
    const { stdout } = await stage.shell(
      await stage.link(second),
      'cat note; stat -c %U note; df -m --output=size / | tail -1',
    )
    const [note, owner, size] = stdout.trim().split('\n')
    expect([note, owner]).toEqual(['kept', 'user'])
    expect(Number(size)).toBeLessThanOrEqual(64)
    expect((await second.stats()).diskBytes).toBeLessThan(64 * MiB)
  })

  it('without a size keeps its owners too, and cannot get a size later', async () => {
    const disk = stage.newDisk()
    const first = await stage.create({ disk })
    await stage.shell(await stage.link(first), 'echo kept > /home/user/note')
    await stage.driver.destroy(first.id)
    await stage.create()
    await stage.restart()
    expect(await codeOf(stage.create({ disk, limits: { diskBytes: required(64 * MiB) } }))).toBe(
      'limit-not-enforceable',
    )
    const second = await stage.create({ disk })
    expect((await stage.shell(await stage.link(second), 'cat note; stat -c %U note')).stdout).toBe('kept\nuser\n')
  })

  it('of a fixed size does not shrink', async () => {
    const disk = stage.newDisk()
    const first = await stage.create({ disk, limits: { diskBytes: required(64 * MiB) } })
    await stage.driver.destroy(first.id)
    expect(await codeOf(stage.create({ disk, limits: { diskBytes: required(32 * MiB) } }))).toBe(
      'limit-not-enforceable',
    )
  })
})

describe.runIf(!isRoot)('a disk of a fixed size for an ordinary user', () => {
  it('is memory, and refused where it should outlive the machine', async () => {
    const limits = { diskBytes: required(32 * MiB) }
    const machine = await stage.create({ limits })
    const { stderr } = await stage.shell(await stage.link(machine), 'head -c 100M /dev/zero > /home/user/bomb')
    expect(stderr).toContain('No space left on device')
    expect(stage.driver.validate({ ...PLAIN, limits, disk: stage.newDisk() }).map(({ field }) => field)).toEqual([
      'limits.diskBytes',
    ])
  })
})

describe.runIf(isRoot)('paused', () => {
  it('does nothing at all until it is resumed', async () => {
    const machine = await stage.create()
    if (!isPausable(machine)) throw new Error('the machine is not pausable')
    const link = await stage.link(machine)
    await machine.pause()
    const answer = link.processes()
    const still = await Promise.race([answer, new Promise((resolve) => setTimeout(resolve, 150, 'still'))])
    expect(still).toBe('still')
    await machine.resume()
    expect(await soon(answer, 'the answer')).toEqual([])
  })

  it('hears the end also when another daemon brings it', async () => {
    const machine = await stage.create()
    if (!isPausable(machine)) throw new Error('the machine is not pausable')
    await machine.pause()
    await stage.restart()
    await soon(stage.driver.destroy(machine.id), 'the removal')
    expect(await stage.rig.leftovers()).toEqual([])
  })
})

describe('when host processes are killed', () => {
  it('a machine outlives the launcher, and its end is told as lost', async () => {
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

  it('what a killed monitor leaves behind is removed with the machine', async () => {
    const machine = await stage.create()
    await stage.link(machine)
    const monitor = (await rig.parts.launcher.get(`bwrap-${machine.id}`))?.pid ?? 0
    const agent = await rig.agentPid(machine.id)
    process.kill(monitor, 'SIGKILL')
    expect(await soon(machine.exited, 'the end')).toEqual({ kind: 'signaled', signal: 9 })
    process.kill(agent, 0)
    await stage.driver.destroy(machine.id)
    expect(() => process.kill(agent, 0)).toThrow('ESRCH')
  })
})

describe('fingerprint', () => {
  it('says that bubblewrap is missing, and how to get it', async () => {
    const driver = open({ bwrap: '/nonexistent/bwrap' })
    const fingerprint = await driver.fingerprint(AbortSignal.timeout(10_000))
    expect(fingerprint).toMatchObject({ proven: false, reason: 'bubblewrap is not installed' })
    expect(fingerprint).toHaveProperty('fix', expect.stringContaining('install bubblewrap'))
    expect(
      await codeOf(driver.create(stage.newId(), PLAIN, { signal: AbortSignal.timeout(10_000), progress: () => {} })),
    ).toBe('isolation-unavailable')
  })

  it('repeats what a tool that fails has said', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'cove-test-'))
    try {
      const bwrap = join(folder, 'bwrap')
      await writeFile(bwrap, '#!/bin/sh\necho "bwrap: Unknown option" >&2\nexit 1\n', { mode: 0o755 })
      await chmod(folder, 0o755)
      const fingerprint = await open({ bwrap }).fingerprint(AbortSignal.timeout(20_000))
      expect(fingerprint).toMatchObject({ proven: false, reason: expect.stringContaining('bwrap: Unknown option') })
      expect(await stage.rig.leftovers()).toEqual([])
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  it('says that a guest program is not there', async () => {
    const fingerprint = await open({ guestProgram: '/nonexistent/guest' }).fingerprint(AbortSignal.timeout(10_000))
    expect(fingerprint).toMatchObject({ proven: false, reason: expect.stringContaining('/nonexistent/guest') })
  })

  it('says that a state directory is too long for a socket', async () => {
    const stateDir = join(rig.parts.stateDir, 'x'.repeat(80))
    const fingerprint = await open({ stateDir }).fingerprint(AbortSignal.timeout(10_000))
    expect(fingerprint).toMatchObject({ proven: false, reason: expect.stringContaining('79 bytes') })
  })

  it('trusts the proof of an earlier daemon with the same tools, once', async () => {
    const first = await open({}).fingerprint(AbortSignal.timeout(20_000))
    const began = performance.now()
    expect(await open({}).fingerprint(AbortSignal.timeout(20_000))).toEqual(first)
    expect(first).toMatchObject({ proven: true, details: { version: expect.stringMatching(/^bubblewrap \d/) } })
    const proof = await readFile(join(`${rig.parts.stateDir}2`, 'proof'), 'utf8')
    expect(proof).toMatch(/^[0-9a-f]{64}$/)
    expect(performance.now() - began).toBeLessThan(5_000)
  })
})
