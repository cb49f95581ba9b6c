import { createHash } from 'node:crypto'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { execFileSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { newMachineId, newProcessId, type ImageId, type StoredImage } from '@cove/domain'
import { systemRandom } from '@cove/domain/system'
import { createContainerdDriver } from '@cove/drivers'
import { openGuestLink } from '@cove/guest-link'
import { missingForContainerd, TestContainerd } from '@cove/containerd-engine/testing'
import type { Containerd } from '@cove/containerd-engine'
import { quantile, round, type Benchmark } from './lib/result.ts'

const PROGRAM = join(import.meta.dirname, '../build/cove-guest')
const BUSYBOX = '/bin/busybox'

/**
 * A machine of the driver `containerd`, from nothing to the result of its first command, against the same calls of
 * containerd made bare: a snapshot, a container and a task whose only process is that command. And what an idle one
 * takes of the host's memory beside the shim that containerd starts for every container.
 */
export const run: Benchmark = async ({ quick }) => {
  const missing = missingForContainerd()
  if (missing !== undefined) return { name: 'containerd-create', n: 0, skipped: missing }
  const folder = mkdtempSync(join(tmpdir(), 'cove-bench-'))
  await using daemon = await TestContainerd.start()
  const { id: image, bytes } = smallImage(folder)
  const installation = newMachineId(systemRandom)
  const driver = createContainerdDriver({
    address: daemon.socket,
    guestProgram: PROGRAM,
    stateDir: join(folder, 'state'),
    installation,
    images: {
      list: () => Promise.resolve([stored(image)]),
      export: () => Promise.resolve(whole(bytes)),
    },
  })
  using raw = daemon.open(`cove-${installation}`)
  const spec = {
    from: { kind: 'layers', lower: [join(folder, 'root')], image },
    limits: {},
    network: { kind: 'none' },
    hostname: 'bench',
  } as const
  const context = { signal: AbortSignal.timeout(600_000), progress: () => undefined }
  const [samples, baseline, memory]: [number[], number[], number[]] = [[], [], []]
  const n = quick ? 20 : 100
  const warmUp = 5
  for (let i = 0; i < warmUp + n; i++) {
    const id = newMachineId(systemRandom)
    const start = performance.now()
    const machine = await driver.create(id, spec, context)
    let epoch = 0
    const link = await openGuestLink({
      connect: (signal) => machine.connectGuest(signal),
      token: systemRandom.bytes(32),
      nextEpoch: () => ++epoch,
      random: systemRandom,
      signal: context.signal,
    })
    const { events } = await link.start({ id: newProcessId(systemRandom), argv: ['/bin/true'], env: {} })
    for await (const event of events) if (event.type === 'exit') break
    if (i >= warmUp) samples.push(performance.now() - start)
    memory.push(ownMemory((await raw.tasks.get(id)).pid))
    await link.close()
    await driver.destroy(id)
    const bare = await bareRun(raw, image)
    if (i >= warmUp) baseline.push(bare)
  }
  await driver.close()
  rmSync(folder, { recursive: true })
  const [p50, base] = [quantile(samples, 0.5), quantile(baseline, 0.5)]
  return {
    name: 'containerd-create',
    n: samples.length,
    p50_ms: p50,
    p99_ms: quantile(samples, 0.99),
    baseline_p50_ms: base,
    ratio: round(p50 / base),
    mib: quantile(memory, 0.5),
  }
}

/** Until the end of the command is told. */
async function bareRun(raw: Containerd, image: ImageId): Promise<number> {
  const id = `bare-${newMachineId(systemRandom)}`
  const parent =
    (await raw.leases.list()).find(({ labels }) => labels['cove.image'] === image)?.labels['cove.chain'] ?? ''
  const start = performance.now()
  const rootfs = await raw.snapshots.prepare(id, parent, { 'containerd.io/gc.root': 'bench' })
  await raw.containers.create({
    id,
    labels: {},
    image: '',
    snapshotter: raw.snapshots.snapshotter,
    snapshotKey: id,
    runtime: 'io.containerd.runc.v2',
    oci: {
      ociVersion: '1.0.2',
      root: { path: 'rootfs' },
      process: { args: ['/bin/true'], cwd: '/', env: ['PATH=/bin'], user: { uid: 0, gid: 0 } },
      mounts: [
        { destination: '/proc', type: 'proc', source: 'proc' },
        { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755'] },
      ],
      linux: {
        cgroupsPath: `/${id}`,
        namespaces: ['pid', 'ipc', 'uts', 'mount', 'network'].map((type) => ({ type })),
      },
    },
  })
  await raw.tasks.create(id, { rootfs })
  const ended = raw.tasks.wait(id)
  await raw.tasks.start(id)
  await ended
  const took = performance.now() - start
  await raw.tasks.delete(id)
  await raw.containers.delete(id)
  await raw.snapshots.remove(id)
  return took
}

function smallImage(folder: string): { readonly id: ImageId; readonly bytes: Uint8Array } {
  const root = join(folder, 'root')
  for (const name of ['bin', 'etc', 'proc', 'dev', 'sys', 'run', 'tmp'])
    mkdirSync(join(root, name), { recursive: true })
  copyFileSync(BUSYBOX, join(root, 'bin/busybox'))
  for (const name of ['sh', 'true']) symlinkSync('busybox', join(root, 'bin', name))
  const layout = join(folder, 'layout')
  mkdirSync(join(layout, 'blobs/sha256'), { recursive: true })
  const put = (bytes: Uint8Array) => {
    const hex = createHash('sha256').update(bytes).digest('hex')
    writeFileSync(join(layout, 'blobs/sha256', hex), bytes)
    return { digest: `sha256:${hex}`, size: bytes.length }
  }
  execFileSync('tar', ['-C', root, '-cf', join(folder, 'layer.tar'), '.'])
  const layer = put(readFileSync(join(folder, 'layer.tar')))
  const config = put(json({ os: 'linux', rootfs: { type: 'layers', diff_ids: [layer.digest] } }))
  const type = 'application/vnd.oci.image'
  const manifest = put(
    json({
      schemaVersion: 2,
      config: { ...config, mediaType: `${type}.config.v1+json` },
      layers: [{ ...layer, mediaType: `${type}.layer.v1.tar` }],
    }),
  )
  const index = { schemaVersion: 2, manifests: [{ ...manifest, mediaType: `${type}.manifest.v1+json` }] }
  writeFileSync(join(layout, 'index.json'), json(index))
  execFileSync('tar', ['-C', layout, '-cf', join(folder, 'image.tar'), '.'])
  return { id: config.digest as ImageId, bytes: readFileSync(join(folder, 'image.tar')) }
}

const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value))

async function* whole(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield await Promise.resolve(bytes)
}

function stored(id: ImageId): StoredImage {
  const info = { id, source: 'bench', platform: { os: 'linux', architecture: process.arch }, base: 'scratch' } as const
  return {
    info: { ...info, layers: [], defaults: { env: {}, command: [] }, fetchedAt: 0 },
    names: [],
    pins: [],
    inUse: true,
    bytes: 0,
    ownBytes: 0,
    usedAt: 0,
  }
}

/** In MiB; what is shared with others is divided among them. */
function ownMemory(pid: number): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
  return round(Number(/^Pss:\s+(\d+) kB$/m.exec(text)?.[1]) / 1024)
}
