import { readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hasBalloon, hasConsole, savesMemory, type Machine, type SnapshotId } from '@cove/domain'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { noFirecrackerStandIn, openFirecrackerRig, type FirecrackerRig } from '../../test/support/firecracker-rig.ts'
import { codeOf, soon, Stage } from '../conformance/index.ts'
import type { CallName } from './api-contract.ts'
import { createFirecrackerDriver, type FirecrackerOptions } from './driver.ts'
import { FirecrackerMachine } from './firecracker-machine.ts'

const MiB = 1024 * 1024
const required = (value: number) => ({ value, required: true })
const skipped = noFirecrackerStandIn === undefined ? '' : ` (skipped: ${noFirecrackerStandIn})`

const consoleOf = async (machine: Machine) =>
  hasConsole(machine) ? Buffer.from(await machine.consoleTail(64 * 1024)).toString() : ''

const refused = (promise: Promise<unknown>) =>
  promise.then(
    () => 'nothing',
    (error: Error) => error.message,
  )

describe.skipIf(noFirecrackerStandIn !== undefined)(`the driver firecracker, over a stand-in${skipped}`, () => {
  let rig: FirecrackerRig
  const stage = new Stage(async () => (rig = await openFirecrackerRig()))
  beforeAll(() => stage.open())
  afterAll(() => stage.close())
  afterEach(async () => {
    await rig.standIns.setFailures({})
    await stage.expectCleared()
    const left = ['jails', 'saves'].map((name) => readdir(join(rig.folder, 'd', name)).catch(() => []))
    if ((await Promise.all(left)).flat().length > 0) throw new Error('a jail was left behind')
    await rig.standIns.calls()
  })

  const save = async (machine: Machine): Promise<SnapshotId> => {
    if (!savesMemory(machine)) throw new Error('the machine cannot be saved')
    const id = stage.newSnapshot()
    await machine.snapshotMemory(id, { signal: AbortSignal.timeout(30_000), progress: () => undefined })
    return id
  }
  const fromSnapshot = (id: SnapshotId) =>
    ({ from: { kind: 'snapshot', id, root: rig.from ?? { kind: 'host' } } }) as const
  /** Waits until Firecracker has been asked for it. */
  const seen = async (call: CallName) => {
    const all: CallName[] = []
    const asked = async () => {
      all.push(...(await rig.standIns.calls()).map((one) => one.call))
      return all
    }
    await expect.poll(asked, { timeout: 20_000 }).toContain(call)
  }
  const fileOf = (id: SnapshotId, name: string) => join(rig.folder, 'd/snapshots', id, name)

  describe('is not proven', () => {
    it.each<[string, Partial<FirecrackerOptions>, RegExp, RegExp]>([
      [
        'Firecracker',
        { firecracker: '/nonexistent/firecracker' },
        /firecracker.* not installed/,
        /Install Firecracker/,
      ],
      ['the jailer', { jailer: '/nonexistent/jailer', firecracker: '/bin/true' }, /jailer is not installed/, /jailer/],
      ['KVM', { kvmDevice: '/nonexistent/kvm' }, /no KVM/, /kvm_intel or kvm_amd/],
      ['a kernel', {}, /no kernel/, /cove kernel build/],
    ])('without %s, and says what to do', async (_, change, reason, fix) => {
      const driver = createFirecrackerDriver({
        ...rig.parts,
        stateDir: join(rig.folder, 'other'),
        guestSystems: { current: () => Promise.resolve(undefined) },
        firecracker: rig.standIns.firecracker,
        jailer: rig.standIns.jailer,
        kvmDevice: '/dev/null',
        ...change,
      })
      const fingerprint = await driver.fingerprint(AbortSignal.timeout(10_000))
      expect(fingerprint).toEqual({
        proven: false,
        reason: expect.stringMatching(reason) as string,
        fix: expect.stringMatching(fix) as string,
      })
      await driver.close()
    })
  })

  it('asks for what the machine is to be, and for nothing else', async () => {
    const limits = { memoryBytes: required(256 * MiB), cpus: required(1), diskBytes: required(64 * MiB) }
    const machine = await stage.create({ limits, hostname: 'box' })
    await stage.link(machine)
    const calls = await rig.standIns.calls()
    expect(calls.map(({ call }) => call)).toEqual([
      'GET /version',
      'PUT /machine-config',
      'PUT /boot-source',
      'PUT /drives/{drive_id}',
      'PUT /drives/{drive_id}',
      'PUT /drives/{drive_id}',
      'PUT /vsock',
      'PUT /entropy',
      'PUT /balloon',
      'PUT /actions',
    ])
    const bodies = calls.map(({ body }) => body)
    expect(bodies[1]).toEqual({ vcpu_count: 1, mem_size_mib: 256, smt: false, track_dirty_pages: true })
    expect(bodies[2]).toMatchObject({ kernel_image_path: '/kernel', initrd_path: '/initrd' })
    expect(bodies.slice(3, 6)).toEqual([
      { drive_id: 'config', path_on_host: '/config', is_read_only: true, is_root_device: false },
      { drive_id: 'root', path_on_host: '/root.erofs', is_read_only: true, is_root_device: false },
      { drive_id: 'disk', path_on_host: '/disk', is_read_only: false, is_root_device: false, cache_type: 'Writeback' },
    ])
    // Its jail is where its files are, and nobody else's.
    const record = await rig.parts.launcher.get(`firecracker-${machine.id}`)
    const config = await readFile(`/proc/${record?.pid}/cmdline`, 'utf8')
    expect(config).toContain('--unshare-net')
    expect(config).toMatch(/--uid\0[1-9]\d+\0--gid\0[1-9]\d+\0/)
    expect(config).toMatch(/fsize=\d+\0--resource-limit\0no-file=1024/)
  })

  it('gives memory back, and tells its console', async () => {
    const machine = await stage.create({ limits: { memoryBytes: required(256 * MiB) } })
    await stage.link(machine)
    if (!hasBalloon(machine)) throw new Error('it has no balloon')
    await rig.standIns.calls()
    await machine.setMemoryTarget(64 * MiB)
    expect((await rig.standIns.calls()).at(-1)).toEqual({ call: 'PATCH /balloon', body: { amount_mib: 192 } })
    await machine.setMemoryTarget(1024 * MiB)
    expect((await rig.standIns.calls()).at(-1)).toEqual({ call: 'PATCH /balloon', body: { amount_mib: 0 } })
    await machine.stop(5_000)
    expect(await consoleOf(machine)).toMatch(/control stop\ncove-boot: ended exited 0\n$/)
    expect(await codeOf(machine.setMemoryTarget(1))).toBe('wrong-state')
  })

  it('refuses what Firecracker cannot give, with what to do instead', async () => {
    const internet = { kind: 'internet', allow: [], deny: [] } as never
    const [problem] = stage.driver.validate({ ...stage.plain, network: internet })
    expect(problem).toMatchObject({ field: 'network', message: expect.stringContaining('TAP') as string })
    expect(await codeOf(stage.create({ network: internet }))).toBe('network-unavailable')
    const volumes = [{ source: '/tmp', target: '/data', readOnly: true }]
    expect(await codeOf(stage.create({ volumes }))).not.toBe('no error')
    expect(await codeOf(stage.create({ limits: { memoryBytes: required(8 * MiB) } }))).toBe('invalid-argument')
  })

  it.each([
    ['a request is refused', { refuse: { 'PUT /vsock': 'no vsock for you' } }, /no vsock for you/],
    ['the start is refused', { refuse: { 'PUT /actions': 'Cannot load kernel: invalid ELF' } }, /invalid ELF/],
    ['it ends at once', { exitAtStart: 148 }, /ended before it listened/],
    ['it dies when it is to start', { dieAt: 'PUT /actions' }, /does not answer to PUT \/actions/],
    ['it dies within an answer', { dieWithin: 'GET /version' }, /GET \/version/],
    ['something else answers', { garbageAt: 'PUT /boot-source' }, /PUT \/boot-source/],
  ] as const)('leaves nothing when %s', async (_, failures, message) => {
    const disk = stage.newDisk()
    await rig.standIns.setFailures(failures)
    expect(await refused(stage.create({ disk }))).toMatch(message)
    expect(await rig.leftovers()).toEqual([])
    expect(await stage.driver.listDisks()).toEqual([])
  })

  it('is given up while Firecracker hangs', async () => {
    await rig.standIns.setFailures({ hangAt: 'PUT /entropy' })
    const giveUp = new AbortController()
    const creating = codeOf(stage.create({}, stage.newId(), { signal: giveUp.signal }))
    await seen('PUT /entropy')
    giveUp.abort()
    expect(await soon(creating, 'the end of the create')).toBe('cancelled')
    expect(await rig.leftovers()).toEqual([])
  })

  it('tells why a machine never came up', async () => {
    await rig.standIns.setFailures({ panic: true })
    const machine = await stage.create()
    expect(await soon(machine.exited, 'the end')).toEqual({ kind: 'lost' })
    expect(await refused(machine.connectGuest(AbortSignal.timeout(10_000)))).toMatch(/kernel panic: VFS: Unable/)
  })

  it('tells of a machine whose Firecracker was killed, and of a socket that somebody else answers', async () => {
    const machine = await stage.create()
    await stage.link(machine)
    const pid = (await rig.parts.launcher.get(`firecracker-${machine.id}`))?.pid ?? 0
    process.kill(pid, 'SIGKILL')
    expect(['lost', 'signaled']).toContain((await soon(machine.exited, 'the end')).kind)
    await stage.driver.destroy(machine.id)
    await rig.standIns.setFailures({ vsockSays: 'hello\n' })
    const other = await stage.create()
    expect(await codeOf(other.connectGuest(AbortSignal.timeout(10_000)))).toBe('guest-protocol')
  })

  it('finds a machine that was half made when the daemon was killed, and one that was not', async () => {
    const whole = await stage.create()
    await stage.link(whole)
    await rig.standIns.calls()
    await rig.standIns.setFailures({ hangAt: 'PUT /actions' })
    const half = stage.newId()
    // Whoever has asked for it is gone before there is an answer.
    stage.create({}, half).catch(() => undefined)
    await seen('PUT /actions')
    await stage.restart()
    await rig.standIns.setFailures({})
    const found = await Array.fromAsync(stage.driver.recover())
    const told = found.map((one) => (one.kind === 'running' ? [one.machine.id, one.kind] : [one.id, one.kind]))
    expect(Object.fromEntries(told)).toEqual({ [half]: 'partial', [whole.id]: 'running' })
    await stage.driver.destroy(half)
  })

  it('saves memory, then only what has changed, and goes on from both as machines of their own', async () => {
    const source = await stage.create({ limits: { memoryBytes: required(64 * MiB) } })
    const link = await stage.link(source)
    await stage.shell(link, 'echo one > ~/note')
    const first = await save(source)
    await stage.shell(link, 'echo two > ~/note')
    const second = await save(source)
    const kinds = (await rig.standIns.calls())
      .filter(({ call }) => call === 'PUT /snapshot/create')
      .map(({ body }) => (body as { snapshot_type: string }).snapshot_type)
    expect(kinds).toEqual(['Full', 'Diff'])
    for (const id of [first, second]) expect((await stat(fileOf(id, 'ram'))).size).toBe(64 * MiB)
    expect(await stage.snapshots.listSnapshots()).toHaveLength(2)
    expect((await stage.run(link, ['echo', 'awake'])).stdout).toBe('awake\n')

    const child = await stage.create(fromSnapshot(second))
    expect(await consoleOf(child)).toMatch(/^stand-in: control identity - \d{13} [0-9a-f]{64}$/m)
    const inside = await stage.link(child)
    expect((await stage.shell(inside, 'cat ~/note; echo child > ~/note')).stdout).toBe('two\n')
    expect((await stage.shell(link, 'cat ~/note')).stdout).toBe('two\n')
    // What has gone on from a snapshot needs only what has changed since that one.
    await rig.standIns.calls()
    const third = await save(child)
    expect((await rig.standIns.calls()).map(({ body }) => body)).toContainEqual(
      expect.objectContaining({ snapshot_type: 'Diff' }),
    )
    await stage.link(await stage.create(fromSnapshot(third)))
    // Removed, it stays for those that read their memory from it.
    await stage.snapshots.removeSnapshot(second)
    await stage.restart()
    const found = await Array.fromAsync(stage.driver.recover())
    expect(found.map(({ kind }) => kind)).toEqual(['running', 'running', 'running'])
    expect(await codeOf(stage.create(fromSnapshot(second)))).toBe('snapshot-not-found')
  })

  it('goes on from no snapshot that does not fit or is damaged, and from none that Firecracker refuses', async () => {
    const source = await stage.create({ limits: { memoryBytes: required(64 * MiB) } })
    const id = await save(source)
    const goOn = (limits = {}) => refused(stage.create({ ...fromSnapshot(id), limits }))
    expect(await goOn({ memoryBytes: required(128 * MiB) })).toMatch(/64 MiB of memory/)
    expect(await goOn({ diskBytes: required(16 * MiB) })).toMatch(/cannot shrink/)
    const manifest = await readFile(fileOf(id, 'manifest.json'), 'utf8')
    const changed = async (name: string, value: unknown) => {
      const { vm, ...rest } = JSON.parse(manifest) as { vm: object }
      const other = name === 'version' ? { ...rest, vm, version: value } : { ...rest, vm: { ...vm, [name]: value } }
      await writeFile(fileOf(id, 'manifest.json'), JSON.stringify(other))
      const said = await goOn()
      await writeFile(fileOf(id, 'manifest.json'), manifest)
      return said
    }
    expect(await changed('cpu', 'another processor')).toMatch(/the processor another processor/)
    expect(await changed('monitor', 'Firecracker v0.1')).toMatch(/saved with Firecracker v0\.1/)
    expect(await changed('system', 'other')).toMatch(/the guest system other/)
    expect(await changed('version', 2)).toMatch(/another version of Cove/)
    await rig.standIns.setFailures({ refuse: { 'PUT /snapshot/load': 'the state is of another kind' } })
    expect(await goOn()).toMatch(/of another kind/)
    await rig.standIns.setFailures({})
    await truncate(fileOf(id, 'ram'), 4096)
    expect(await goOn()).toMatch(/its files are damaged or not all there/)
  })

  it('goes on itself, and leaves nothing, when it cannot be saved', async () => {
    const machine = await stage.create()
    const link = await stage.link(machine)
    await rig.standIns.setFailures({ refuse: { 'PUT /snapshot/create': 'No space left on device (os error 28)' } })
    expect(await codeOf(save(machine))).toBe('no-space')
    expect(await stage.snapshots.listSnapshots()).toEqual([])
    expect((await stage.run(link, ['echo', 'awake'])).stdout).toBe('awake\n')
    expect(machine).toBeInstanceOf(FirecrackerMachine)
    await rig.standIns.setFailures({})
    await save(machine)
  })
})
