import { copyFile, mkdir, open, readFile, stat, truncate, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import { newProcessId } from '@cove/domain'
import { systemRandom } from '@cove/domain/system'
import { openGuestLink, type GuestLink } from '@cove/guest-link'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { codeOf, collect, soon } from '../conformance/index.ts'
import { bootConfig } from '../microvm/boot-config.ts'
import { makeStandIns, runStandIn, type RunningStandIn, type StandIns } from '../../test/support/stand-in.ts'
import { FirecrackerApi } from './api-client.ts'
import type { BodyOf } from './api-contract.ts'
import { dialVsock } from './vsock.ts'

const MiB = 1024 * 1024
const MEMORY_MIB = 16
const never = new AbortController().signal

async function openApi({ socket, exited }: RunningStandIn): Promise<FirecrackerApi> {
  const api = new FirecrackerApi(socket)
  expect(await api.ready(exited)).toMatch(/^1\./)
  return api
}

const drive = (id: string, path: string, readOnly: boolean): BodyOf<'PUT /drives/{drive_id}'> => ({
  drive_id: id,
  path_on_host: path,
  is_read_only: readOnly,
  is_root_device: false,
})

async function linkTo(vsock: string): Promise<GuestLink> {
  let epoch = 0
  return openGuestLink({
    connect: async (signal) => {
      let last: unknown
      for (let attempt = 0; attempt < 200 && !signal.aborted; attempt++) {
        try {
          return await dialVsock(vsock, 1024, signal)
        } catch (error) {
          last = error
          await new Promise((resolve) => setTimeout(resolve, 20))
        }
      }
      throw last
    },
    token: systemRandom.bytes(32),
    nextEpoch: () => ++epoch,
    random: systemRandom,
    signal: AbortSignal.timeout(20_000),
  })
}

const echo = async (link: GuestLink, text: string) =>
  (await collect((await link.start({ id: newProcessId(systemRandom), argv: ['echo', text], env: {} })).events)).stdout

const refused = (promise: Promise<unknown>) =>
  promise.then(
    () => 'nothing',
    (error: Error) => error.message,
  )

const http = (status: number, body: string) =>
  Buffer.from(`HTTP/1.1 ${status} X\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`)

describe("Firecracker's API, spoken with a stand-in", () => {
  let standIns: StandIns
  let disks: { kernel: string; config: string; root: string; disk: string }
  let count = 0
  beforeAll(async () => {
    standIns = await makeStandIns()
    const file = async (name: string, content: string | Uint8Array) => {
      const path = join(standIns.folder, name)
      await writeFile(path, content)
      return path
    }
    disks = {
      kernel: await file('kernel', 'kernel'),
      root: await file('root', 'root'),
      disk: await file('disk', Buffer.alloc(4096)),
      config: await file(
        'config',
        bootConfig({
          mode: 'machine',
          hostname: 'story',
          root: 'erofs',
          tmpBytes: MiB,
          etc: {},
          volumes: [],
          stream: 1024,
          control: 1025,
        }),
      ),
    }
  })
  afterAll(() => standIns[Symbol.asyncDispose]())

  const run = () => runStandIn(standIns, `m${++count}`)

  async function configure(api: FirecrackerApi, vsock: string, disk = disks.disk): Promise<void> {
    await api.call('PUT /machine-config', { vcpu_count: 1, mem_size_mib: MEMORY_MIB, track_dirty_pages: true })
    await api.call('PUT /boot-source', { kernel_image_path: disks.kernel, boot_args: 'console=ttyS0' })
    await api.call('PUT /drives/{drive_id}', drive('config', disks.config, true))
    await api.call('PUT /drives/{drive_id}', drive('root', disks.root, true))
    await api.call('PUT /drives/{drive_id}', {
      ...drive('disk', disk, false),
      rate_limiter: {
        bandwidth: { size: MiB, refill_time: 100 },
        ops: { size: 10, refill_time: 1, one_time_burst: 5 },
      },
    })
    await api.call('PUT /vsock', { guest_cid: 3, uds_path: vsock })
    await api.call('PUT /entropy', {})
    await api.call('PUT /balloon', { amount_mib: 0, deflate_on_oom: true, stats_polling_interval_s: 1 })
  }

  it('boots, is worked with, paused, saved, and goes on from there elsewhere', async () => {
    await using running = await run()
    using api = await openApi(running)
    const folder = join(standIns.folder, 'story')
    await mkdir(folder)
    const vsock = join(folder, 'v')
    await configure(api, vsock)
    expect((await api.call('GET /')).state).toBe('Not started')
    await api.call('PUT /actions', { action_type: 'InstanceStart' })
    expect(await api.call('GET /')).toMatchObject({ state: 'Running', app_name: 'Firecracker' })
    expect(await api.call('GET /vm/config')).toMatchObject({ vsock: { uds_path: vsock }, 'network-interfaces': [] })
    {
      await using link = await linkTo(vsock)
      expect(await echo(link, 'hello')).toBe('hello\n')
      await api.call('PATCH /vm', { state: 'Paused' })
      await api.call('PATCH /vm', { state: 'Resumed' })
      expect(await echo(link, 'awake')).toBe('awake\n')
    }
    await api.call('PATCH /balloon', { amount_mib: 4 })
    expect(await api.call('GET /balloon/statistics')).toMatchObject({ actual_mib: 4, target_mib: 4 })

    // A full snapshot, and a later one that only adds to a copy of it.
    const memory = join(folder, 'memory')
    const params = { snapshot_path: join(folder, 'state'), mem_file_path: memory }
    expect(await codeOf(api.call('PUT /snapshot/create', params))).toBe('driver-failed')
    await api.call('PATCH /vm', { state: 'Paused' })
    await api.call('PUT /snapshot/create', { ...params, snapshot_type: 'Full' })
    expect((await stat(memory)).size).toBe(MEMORY_MIB * MiB)
    await copyFile(memory, join(folder, 'memory2'))
    const second = { snapshot_path: join(folder, 'state2'), mem_file_path: join(folder, 'memory2') }
    await api.call('PUT /snapshot/create', { ...second, snapshot_type: 'Diff' })
    await api.call('PATCH /vm', { state: 'Resumed' })

    await using again = await run()
    using restored = await openApi(again)
    const load = {
      snapshot_path: second.snapshot_path,
      mem_backend: { backend_type: 'File', backend_path: second.mem_file_path },
      track_dirty_pages: true,
      resume_vm: true,
    } as const
    // The socket of the first is in use.
    await expect(restored.call('PUT /snapshot/load', load)).rejects.toThrow(/UnixBind/)
    const elsewhere = join(folder, 'v2')
    await restored.call('PUT /snapshot/load', { ...load, vsock_override: { uds_path: elsewhere } })
    expect((await restored.call('GET /')).state).toBe('Running')
    {
      await using link = await linkTo(elsewhere)
      expect(await echo(link, 'here')).toBe('here\n')
      await link.shutdown(1_000)
    }
    expect(await soon(again.exited, 'the end')).toBe(0)
    expect(again.console()).toMatch(/^cove-boot: ended exited 0$/m)
  })

  it('refuses what the real one refuses', async () => {
    await using running = await run()
    using api = await openApi(running)
    const vsock = join(standIns.folder, 'refusals-v')
    expect(await refused(api.call('PUT /actions', { action_type: 'InstanceStart' }))).toMatch(/without kernel/)
    expect(await codeOf(api.call('PATCH /vm', { state: 'Paused' }))).toBe('wrong-state')
    expect(await codeOf(api.call('PATCH /drives/{drive_id}', { drive_id: 'disk' }))).toBe('wrong-state')
    expect(await refused(api.call('PUT /boot-source', { kernel_image_path: '/nonexistent' }))).toMatch(/kernel file/)
    const config = { vcpu_count: 1, mem_size_mib: 0 }
    expect(await refused(api.call('PUT /machine-config', config))).toMatch(/memory size/)
    expect(await refused(api.call('PUT /drives/{drive_id}', drive('a', '/nonexistent', true)))).toMatch(/backing file/)
    const tap = {
      iface_id: 'eth0',
      host_dev_name: 'no-such-tap',
      rx_rate_limiter: { ops: { size: 1, refill_time: 1 } },
    }
    expect(await refused(api.call('PUT /network-interfaces/{iface_id}', tap))).toMatch(/Open tap device failed/)
    expect(await refused(api.call('PUT /metrics', { metrics_path: '/nonexistent' }))).toMatch(/No write access/)
    expect(await refused(api.call('GET /balloon'))).toMatch(/no such balloon/)
    await configure(api, vsock)
    await api.call('PUT /actions', { action_type: 'InstanceStart' })
    for (const late of [
      api.call('PUT /drives/{drive_id}', drive('late', disks.root, true)),
      api.call('PUT /machine-config', { vcpu_count: 2, mem_size_mib: 64 }),
      api.call('PUT /vsock', { guest_cid: 4, uds_path: `${vsock}2` }),
      api.call('PUT /actions', { action_type: 'InstanceStart' }),
      api.call('PUT /snapshot/load', { snapshot_path: 'x', mem_file_path: 'y' }),
    ]) {
      expect(await codeOf(late)).toBe('wrong-state')
    }
    expect(await refused(api.call('PATCH /balloon', { amount_mib: MEMORY_MIB + 1 }))).toMatch(/too large/)
    // The command line that goes to the kernel has an end.
    const many = 'x'.repeat(60_000)
    expect(await codeOf(api.call('PUT /boot-source', { kernel_image_path: disks.kernel, boot_args: many }))).toBe(
      'invalid-argument',
    )
  })

  it('sends nothing that the description does not allow', async () => {
    using api = new FirecrackerApi(join(standIns.folder, 'nobody'))
    const sent = (body: object) => codeOf(api.call('PUT /drives/{drive_id}', body as never))
    expect(await sent({ drive_id: 'a' })).toBe('invalid-argument')
    expect(await sent({ drive_id: 'a', is_root_device: false, surplus: 1 })).toBe('invalid-argument')
    expect(await sent({ drive_id: '../vsock', is_root_device: false })).toBe('invalid-argument')
    expect(await codeOf(api.call('GET /'))).toBe('driver-failed')
  })

  it('goes on from no snapshot that is cut short, damaged or of another version', async () => {
    const folder = join(standIns.folder, 'damage')
    await mkdir(folder)
    const [state, memory, disk] = ['state', 'memory', 'disk'].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ]
    await copyFile(disks.disk, disk)
    {
      await using running = await run()
      using api = await openApi(running)
      await configure(api, join(folder, 'v'), disk)
      await api.call('PUT /actions', { action_type: 'InstanceStart' })
      await api.call('PATCH /vm', { state: 'Paused' })
      await api.call('PUT /snapshot/create', { snapshot_path: state, mem_file_path: memory })
      await api.call('PUT /snapshot/create', { snapshot_path: state, mem_file_path: memory, snapshot_type: 'Diff' })
    }
    // One that has refused a snapshot is as fresh as before.
    await using other = await run()
    using fresh = await openApi(other)
    const loaded = async (api: FirecrackerApi, change: Partial<BodyOf<'PUT /snapshot/load'>> = {}) =>
      api
        .call('PUT /snapshot/load', {
          snapshot_path: state,
          mem_backend: { backend_type: 'File', backend_path: memory },
          vsock_override: { uds_path: join(folder, 'v2') },
          ...change,
        })
        .then(
          async () => (await api.call('GET /')).state,
          (error: Error) => error.message,
        )
    expect(await loaded(fresh, { network_overrides: [{ iface_id: 'eth0', host_dev_name: 'tap0' }] })).toMatch(
      /Unknown Network/,
    )
    expect(await loaded(fresh, { mem_file_path: memory })).toMatch(/exactly one/)
    expect(await loaded(fresh, { mem_backend: { backend_type: 'Uffd', backend_path: '/nobody' } })).toMatch(
      /page faults/,
    )
    // The second snapshot without what the first had written.
    await using file = await open(memory, 'r+')
    const page = Buffer.alloc(4096)
    await file.read(page, 0, 4096, 4096)
    await file.write(Buffer.alloc(4096), 0, 4096, 4096)
    expect(await loaded(fresh)).toMatch(/page 1 of the memory/)
    await file.write(page, 0, 4096, 4096)
    await truncate(memory, MEMORY_MIB * MiB - 4096)
    expect(await loaded(fresh)).toMatch(/bytes where the snapshot needs/)
    await truncate(memory, MEMORY_MIB * MiB)
    const sound = await readFile(state, 'utf8')
    await writeFile(state, sound.replace('1.17', '1.16'))
    expect(await loaded(fresh)).toMatch(/version 1\.16\S* is not supported/)
    await truncate(state, 10)
    expect(await loaded(fresh)).toMatch(/deserialize/)
    await writeFile(state, sound)
    expect(await loaded(fresh)).toBe('Paused')
  })

  it('tells when it ends before it listens', async () => {
    await standIns.setFailures({ exitAtStart: 3 })
    await using running = await run()
    expect(await codeOf(openApi(running))).toBe('driver-failed')
    expect(await running.exited).toBe(3)
    await standIns.setFailures({})
  })

  it.each([
    ['dies before it answers', { dieAt: 'GET /' }],
    ['dies in the middle of its answer', { dieWithin: 'GET /' }],
    ['answers something that is no HTTP', { garbageAt: 'GET /' }],
    ['does not answer', { hangAt: 'GET /' }],
    ['refuses', { refuse: { 'GET /': 'not today' } }],
  ] as const)('tells when it %s', async (_, failures) => {
    await using running = await run()
    using api = await openApi(running)
    await standIns.setFailures(failures)
    const error = await api.call('GET /', undefined, { timeoutMs: 1_000 }).catch((thrown: unknown) => thrown)
    await standIns.setFailures({})
    expect(error).toMatchObject({ code: 'driver-failed', message: expect.stringContaining('GET /') })
  })

  it('gives up when it is told to', async () => {
    await using running = await run()
    using api = await openApi(running)
    await standIns.setFailures({ hangAt: 'GET /' })
    const giveUp = new AbortController()
    const asked = codeOf(api.call('GET /', undefined, { signal: giveUp.signal }))
    setTimeout(() => giveUp.abort(), 50)
    expect(await asked).toBe('cancelled')
    await standIns.setFailures({})
  })

  it('survives whatever is said in its place', async () => {
    const path = join(standIns.folder, 'babble')
    let says = Buffer.alloc(0)
    const server = createServer((socket) => {
      socket.on('error', () => undefined)
      socket.once('data', () => socket.end(says))
    }).listen(path)
    await once(server, 'listening')
    const babble = fc.oneof(
      fc.uint8Array().map((bytes) => Buffer.from(bytes)),
      fc.uint8Array().map((bytes) => Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\n'), bytes])),
      fc.tuple(fc.constantFrom(200, 204, 400, 500), fc.json()).map(([status, body]) => http(status, body)),
    )
    using api = new FirecrackerApi(path)
    await fc.assert(
      fc.asyncProperty(babble, async (bytes) => {
        says = bytes
        expect(await codeOf(api.call('GET /', undefined, { timeoutMs: 2_000 }))).toBe('driver-failed')
      }),
      { numRuns: 60 },
    )
    says = http(200, JSON.stringify({ app_name: 'F', id: 'x', state: 'Running', vmm_version: '9', later: true }))
    expect((await api.call('GET /')).id).toBe('x')
    says = http(200, `"${'x'.repeat(2 * MiB)}"`)
    expect(await codeOf(api.call('GET /'))).toBe('driver-failed')
    await new Promise((resolve) => server.close(resolve))
  })

  it('believes only the handshake of vsock', async () => {
    const path = join(standIns.folder, 'handshake')
    let says = Buffer.alloc(0)
    const server = createServer((socket) => {
      socket.on('error', () => undefined)
      socket.once('data', () => socket.end(says))
    }).listen(path)
    await once(server, 'listening')
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 80 }), async (bytes) => {
        says = Buffer.from(bytes)
        expect(['guest-unreachable', 'guest-protocol']).toContain(await codeOf(dialVsock(path, 7, never)))
      }),
      { numRuns: 60 },
    )
    says = Buffer.from('OK 1073741824\nfirst words')
    const stream = await dialVsock(path, 7, never)
    expect(Buffer.concat(await Array.fromAsync(stream as AsyncIterable<Buffer>)).toString()).toBe('first words')
    for (const wrong of ['OK\n', 'OK x\n', 'OK 4294967296\n', 'ok 1\n', 'OK 1\r\n', `OK ${'1'.repeat(60)}\n`]) {
      says = Buffer.from(wrong)
      expect([wrong, await codeOf(dialVsock(path, 7, never))]).toEqual([wrong, 'guest-protocol'])
    }
    await new Promise((resolve) => server.close(resolve))
    expect(await codeOf(dialVsock(path, 7, never))).toBe('guest-unreachable')
  })
})
