import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { openDockerEngine, type DockerEngine, type EngineAddress } from '@cove/docker-engine'
import { missingForDockerd, TestDockerd } from '@cove/docker-engine/testing'
import { newMachineId, parseImageId, type Driver, type ImageId, type KeepsDisks, type TemplateRoot } from '@cove/domain'
import { systemRandom } from '@cove/domain/system'
import type { DriverRig } from '../../src/conformance/index.ts'
import { createDockerDriver } from '../../src/docker/driver.ts'
import type { ImageSource } from '../../src/docker/engine-images.ts'
import { EngineFaults } from './faulty-engine.ts'
import { GUEST_PROGRAM } from './host-rig.ts'
import { noSmallRoot, smallRoot } from './small-root.ts'

const run = promisify(execFile)
const MAX_ARCHIVE = 64 * 1024 * 1024

/** Why no driver can be tried here. */
export const noDocker = missingForDockerd() ?? noSmallRoot

/** Another storage than the slowest, which copies whole images. */
export const OVERLAY = ['--storage-driver=overlay2']

export interface DockerRig extends DriverRig {
  readonly driver: Driver & KeepsDisks
  readonly from: TemplateRoot & { kind: 'layers'; image: ImageId }
  readonly daemon: TestDockerd
  readonly engine: DockerEngine
  readonly engineFaults: EngineFaults
  readonly images: TestImages
  readonly installation: string
  readonly folder: string
  /** Another driver on the same engine. */
  open(options?: Partial<Parameters<typeof createDockerDriver>[0]>): Driver & KeepsDisks
}

export async function openDockerRig(
  options: { readonly flags?: readonly string[]; readonly address?: EngineAddress } = {},
): Promise<DockerRig> {
  const folder = await mkdtemp(join(tmpdir(), 'cove-test-'))
  const daemon = await TestDockerd.start([...OVERLAY, ...(options.flags ?? [])])
  const engine = await daemon.open()
  const before = new Set((await engine.listImages({ labels: {} })).flatMap(({ tags }) => tags))
  const root = await smallRoot(folder)
  const images = new TestImages()
  const image = await images.add(root.lower[0] ?? '')
  const engineFaults = new EngineFaults()
  const installation = newMachineId(systemRandom)
  const open: DockerRig['open'] = (more = {}) =>
    createDockerDriver({
      guestProgram: GUEST_PROGRAM,
      installation,
      stateDir: join(folder, 'd'),
      images,
      address: options.address ?? { kind: 'unix', path: daemon.socket },
      connect: async (address, signal) => engineFaults.wrap(await openDockerEngine(address, signal)),
      ...more,
    })
  const isOwn = (tag: string) => tag === `cove-${installation}/image:empty` || images.tags.has(tag.split(':')[1] ?? '')
  let driver = open()
  return {
    driver,
    from: { ...root, image },
    daemon,
    engine,
    engineFaults,
    images,
    installation,
    folder,
    open,
    restart: async () => {
      // As after a kill: nothing is told to the engine.
      await driver.close()
      driver = open()
      return driver
    },
    killGuest: async (id) => {
      const found = (await engine.listContainers({})).find(({ names }) => names.some((name) => name.endsWith(id)))
      process.kill((await engine.inspectContainer(found?.id ?? '')).pid, 'SIGKILL')
      return { kind: 'signaled', signal: 9 }
    },
    leftovers: async () => {
      const containers = (await engine.listContainers({})).map(({ names }) => `container ${names.join(' ')}`)
      const volumes = (await engine.listVolumes({})).map(({ name }) => name)
      const tags = (await engine.listImages({ labels: {} })).flatMap((each) =>
        each.tags.length === 0 ? ['none'] : each.tags,
      )
      return [
        ...containers,
        ...volumes.filter((name) => !name.startsWith(`cove-agent-${installation}-`)).map((name) => `volume ${name}`),
        ...tags.filter((tag) => !before.has(tag) && !isOwn(tag)).map((tag) => `image ${tag}`),
      ]
    },
    faults: engineFaults.faults,
    traits: {
      users: ['root', 'user'],
      enforces: ['memoryBytes', 'cpus', 'processes'],
      ownFiles: true,
      pausable: true,
      volumes: true,
      readsDisk: true,
      resizable: true,
    },
    [Symbol.asyncDispose]: async () => {
      await driver.close()
      engine[Symbol.dispose]()
      await daemon[Symbol.asyncDispose]()
      await rm(folder, { recursive: true })
    },
  }
}

/** Stands for the node's images: archives as `docker save` writes them. */
export class TestImages implements ImageSource {
  readonly #archives = new Map<ImageId, Uint8Array>()
  /** How often each was given away. */
  exports = 0

  get tags(): ReadonlySet<string> {
    return new Set([...this.#archives.keys()].map((id) => id.slice('sha256:'.length)))
  }

  /** An image of one layer, from a folder. */
  async add(root: string, config: Readonly<Record<string, unknown>> = {}): Promise<ImageId> {
    const folder = await mkdtemp(join(tmpdir(), 'cove-test-'))
    try {
      const { stdout: layer } = await tar(root)
      const text = JSON.stringify({
        architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
        os: 'linux',
        config,
        rootfs: { type: 'layers', diff_ids: [`sha256:${sha256(layer)}`] },
      })
      const id = sha256(Buffer.from(text))
      await mkdir(join(folder, 'layer'))
      await writeFile(join(folder, 'layer/layer.tar'), layer)
      await writeFile(join(folder, `${id}.json`), text)
      const manifest = [{ Config: `${id}.json`, RepoTags: null, Layers: ['layer/layer.tar'] }]
      await writeFile(join(folder, 'manifest.json'), JSON.stringify(manifest))
      const { stdout: archive } = await tar(folder)
      const imageId = parseImageId(`sha256:${id}`)
      this.#archives.set(imageId, archive)
      return imageId
    } finally {
      await rm(folder, { recursive: true })
    }
  }

  /** As if the node had collected it. */
  forget(id: ImageId): void {
    this.#archives.delete(id)
  }

  async export(id: ImageId): Promise<AsyncIterable<Uint8Array>> {
    this.exports += 1
    const archive = this.#archives.get(id)
    if (archive === undefined) throw new Error(`there is no image ${id}`)
    return (async function* () {
      for (let at = 0; at < archive.length; at += CHUNK) yield await Promise.resolve(archive.subarray(at, at + CHUNK))
    })()
  }

  async list(): ReturnType<ImageSource['list']> {
    return [...this.#archives.keys()].map((id) => ({
      info: {
        id,
        source: 'test',
        platform: { os: 'linux', architecture: 'amd64' },
        base: 'scratch',
        layers: [],
        defaults: { env: {}, command: [] },
        fetchedAt: 0,
      },
      names: [],
      pins: [],
      inUse: false,
      bytes: 0,
      ownBytes: 0,
      usedAt: 0,
    }))
  }
}

const CHUNK = 64 * 1024

function tar(folder: string): Promise<{ stdout: Buffer }> {
  return run('tar', ['-C', folder, '--sort=name', '-c', '.'], { encoding: 'buffer', maxBuffer: MAX_ARCHIVE })
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
