import type { DockerEngine } from '@cove/docker-engine'
import { CoveError, type CreateContext, type ImageId, type ImageStore } from '@cove/domain'
import { LABEL, type Names } from './names.ts'
import { SharedWork } from './shared-work.ts'
import { withoutVolumes } from './without-volumes.ts'

/** What the driver needs of the node's images. */
export type ImageSource = Pick<ImageStore, 'export' | 'list'>

/** The node's images as one engine has them: each is carried over once, and found again by its name later. */
export class EngineImages {
  readonly #names: Names
  readonly #source: ImageSource
  readonly #loading = new SharedWork<ImageId, string, string>()

  constructor(names: Names, source: ImageSource) {
    this.#names = names
    this.#source = source
  }

  /** What the engine calls it. */
  ensure(engine: DockerEngine, id: ImageId, context: CreateContext): Promise<string> {
    return this.#loading.run(id, context, async (signal, progress) => {
      const name = this.#name(id)
      const found = await engine.listImages({ reference: name }, signal)
      if (found.length === 0) await this.#load(engine, id, signal, progress)
      return name
    })
  }

  /** Removes images that the node no longer has and no container needs. */
  async sweep(engine: DockerEngine, signal?: AbortSignal): Promise<void> {
    const here = await engine.listImages({ reference: `${this.#names.images}:*` }, signal)
    if (here.length === 0) return
    const known = new Set((await this.#source.list()).map(({ info }) => this.#name(info.id)))
    const containers = await engine.listContainers({ [LABEL.installation]: this.#names.installation }, signal)
    const used = new Set(containers.map(({ image }) => image))
    for (const tag of here.flatMap(({ tags }) => tags)) {
      const isOurs = tag.startsWith(`${this.#names.images}:`)
      const isNeeded = known.has(tag) || used.has(tag) || tag.endsWith(':empty')
      // A container that was made of it this moment makes the engine refuse.
      if (isOurs && !isNeeded) await engine.removeImage(tag, signal).catch(() => undefined)
    }
  }

  #name(id: ImageId): string {
    return `${this.#names.images}:${this.#names.imageTag(id)}`
  }

  async #load(engine: DockerEngine, id: ImageId, signal: AbortSignal, progress: (step: string) => void): Promise<void> {
    progress('giving the image to the Docker Engine')
    const archive = await this.#source.export(id, 'docker', signal)
    let sent = 0
    let told = 0
    const counted = async function* (): AsyncGenerator<Uint8Array> {
      for await (const chunk of archive) {
        sent += chunk.length
        if (sent - told >= STEP_BYTES) {
          told = sent
          progress(`giving the image to the Docker Engine: ${Math.round(sent / MiB)} MiB`)
        }
        yield chunk
      }
    }
    let loaded: string | undefined
    for await (const { status } of engine.loadImage(withoutVolumes(counted()), signal)) {
      loaded = /^Loaded image(?: ID)?: (\S+)/.exec(status)?.[1] ?? loaded
    }
    if (loaded === undefined) {
      throw new CoveError('driver-failed', `the Docker Engine has taken image ${id} and does not say what it became`)
    }
    await engine.tagImage(loaded, this.#names.images, this.#names.imageTag(id), signal)
    // A name that came with the archive is not this driver's to give.
    if (!loaded.startsWith('sha256:')) await engine.removeImage(loaded, signal)
  }
}

const MiB = 1024 * 1024
const STEP_BYTES = 16 * MiB
