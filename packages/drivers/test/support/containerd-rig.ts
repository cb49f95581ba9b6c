import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { newMachineId, type ImageId, type ImageStore, type MachineId, type StoredImage } from '@cove/domain'
import { systemRandom } from '@cove/domain/system'
import { Containerd } from '@cove/containerd-engine'
import { TestContainerd } from '@cove/containerd-engine/testing'
import { openLauncher } from '@cove/runner'
import type { DriverRig, Fault } from '../../src/conformance/index.ts'
import { createContainerdDriver } from '../../src/containerd/driver.ts'
import type { ContainerdDriverOptions } from '../../src/containerd/options.ts'
import { FaultyContainerd } from './faulty-containerd.ts'
import { GUEST_PROGRAM } from './host-rig.ts'
import { ociArchive, tarFile, type OciArchive } from './oci-archive.ts'
import { smallRoot } from './small-root.ts'

const run = promisify(execFile)

/** As much of an image store as the driver needs; it counts how often it is asked. */
export class StandInImages implements Pick<ImageStore, 'export' | 'list'> {
  readonly archives = new Map<ImageId, OciArchive>()
  exports = 0
  /** Called before each part of an archive. */
  between: () => Promise<void> = () => Promise.resolve()

  add(archive: OciArchive): ImageId {
    this.archives.set(archive.image, archive)
    return archive.image
  }

  list(): Promise<readonly StoredImage[]> {
    return Promise.resolve([...this.archives.keys()].map(storedImage))
  }

  async export(id: ImageId): Promise<AsyncIterable<Uint8Array>> {
    this.exports += 1
    const bytes = this.archives.get(id)?.bytes ?? new Uint8Array()
    const between = () => this.between()
    await between()
    return (async function* () {
      // Parts that are cut where nothing begins.
      for (let at = 0; at < bytes.length; at += 100_001) {
        await between()
        yield bytes.subarray(at, at + 100_001)
      }
    })()
  }
}

export interface ContainerdRig extends DriverRig {
  readonly daemon: TestContainerd
  readonly images: StandInImages
  readonly image: ImageId
  readonly options: ContainerdDriverOptions
  /** A client of the driver's namespace. */
  readonly containerd: Containerd
  agentPid(id: MachineId): Promise<number>
  /** The image with one more layer of these files. */
  addLayer(files: Readonly<Record<string, string>>): ImageId
}

/** A containerd of its own with a small image, and the driver over it, which takes other images from `store`. */
export async function openContainerdRig(store?: ContainerdDriverOptions['images']): Promise<ContainerdRig> {
  const daemon = await TestContainerd.start()
  const folder = await mkdtemp(join(tmpdir(), 'cove-test-'))
  const installation = newMachineId(systemRandom)
  const { lower } = await smallRoot(folder)
  const root = lower[0] ?? ''
  const { stdout } = await run('tar', ['-C', root, '--numeric-owner', '-c', '.'], {
    encoding: 'buffer',
    maxBuffer: 64 * 1024 * 1024,
  })
  const images = new StandInImages()
  const image = images.add(ociArchive([stdout]))
  const launcher = await openLauncher({ binary: GUEST_PROGRAM, stateDir: join(folder, 'l'), installation })
  const faulty = new FaultyContainerd()
  const options: ContainerdDriverOptions = {
    address: daemon.socket,
    guestProgram: GUEST_PROGRAM,
    stateDir: join(folder, 'd'),
    installation,
    images: store ?? images,
    launcher,
    connect: (address, namespace) => faulty.wrap(new Containerd({ address, namespace })),
  }
  const containerd = daemon.open(`cove-${installation}`)
  let driver = createContainerdDriver(options)
  const opened = [driver]
  const agentPid = async (id: MachineId): Promise<number> => (await containerd.tasks.get(id)).pid

  const down: Fault = {
    name: 'containerd is not there',
    arm: () => daemon.kill(),
    disarm: () => daemon.restart(),
  }
  return {
    driver,
    daemon,
    images,
    image,
    options,
    containerd,
    agentPid,
    addLayer: (files) => {
      const parts = Object.entries(files).flatMap(([name, text]) => tarFile(name, Buffer.from(text)))
      return images.add(ociArchive([stdout, Buffer.concat([...parts, Buffer.alloc(1024)])]))
    },
    from: { kind: 'layers', lower: [root], image },
    restart: () => {
      // As after a kill: nobody tells the old one.
      driver = createContainerdDriver(options)
      opened.push(driver)
      return Promise.resolve(driver)
    },
    killGuest: async (id) => {
      process.kill(await agentPid(id), 'SIGKILL')
      return { kind: 'signaled', signal: 9 }
    },
    leftovers: () => leftoversOf(daemon, containerd, join(folder, 'd'), installation),
    faults: [...faulty.faults, down],
    traits: {
      users: ['root', 'user'],
      enforces: ['memoryBytes', 'cpus', 'processes'],
      ownFiles: true,
      pausable: true,
      readsDisk: true,
      volumes: true,
      resizable: true,
    },
    [Symbol.asyncDispose]: async () => {
      for (const each of opened) await each.close()
      containerd.close()
      await launcher.stopLauncher()
      await launcher.close()
      await daemon[Symbol.asyncDispose]()
      await rm(folder, { recursive: true })
    },
  }
}

/** Images stay; of machines nothing may. */
async function leftoversOf(
  daemon: TestContainerd,
  containerd: Containerd,
  stateDir: string,
  installation: string,
): Promise<readonly string[]> {
  const [containers, tasks, snapshots, leases, ingests, content] = await Promise.all([
    containerd.containers.list(),
    containerd.tasks.list(),
    containerd.snapshots.list(),
    containerd.leases.list(),
    containerd.content.ingests(),
    containerd.content.list(),
  ])
  return [
    ...containers.map(({ id }) => `container ${id}`),
    ...tasks.map(({ id }) => `task ${id}`),
    ...snapshots
      .filter(({ kind, key }) => kind !== 'committed' && !key.startsWith('disk-'))
      .map(({ key }) => `snapshot ${key}`),
    ...leases.filter(({ id }) => !id.startsWith('image-')).map(({ id }) => `lease ${id}`),
    ...ingests.map((ref) => `ingest ${ref}`),
    ...content.map(({ digest }) => `content ${digest}`),
    ...daemon.shims().map((pid) => `shim ${pid}`),
    ...daemon.mounts().map((path) => `mount ${path}`),
    ...(await list(join(stateDir, 'machines'))).map((name) => `folder ${name}`),
    ...(await cgroups(installation)),
  ]
}

async function cgroups(installation: string): Promise<readonly string[]> {
  const found: string[] = []
  const root = '/sys/fs/cgroup'
  for (const tree of [root, ...(await list(root)).map((name) => join(root, name))]) {
    for (const group of await list(tree)) if (group.includes(installation)) found.push(`cgroup ${join(tree, group)}`)
  }
  return found
}

function list(folder: string): Promise<readonly string[]> {
  return readdir(folder).catch(() => [])
}

/** Memory that is a process's own, in bytes. */
export async function ownMemory(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8')
  return Number(/^Pss:\s+(\d+) kB$/m.exec(text)?.[1]) * 1024
}

function storedImage(id: ImageId): StoredImage {
  const platform = { os: 'linux', architecture: 'amd64' }
  const defaults = { env: {}, command: [] }
  const info = { id, source: 'test', platform, base: 'scratch', layers: [], defaults, fetchedAt: 0 } as const
  return { info, names: [], pins: [], inUse: false, bytes: 0, ownBytes: 0, usedAt: 0 }
}
