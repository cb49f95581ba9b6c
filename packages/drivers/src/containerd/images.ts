import { CoveError, parseImageId, type CreateContext, type ImageId, type ImageStore, type Random } from '@cove/domain'
import { isNotFound, type Containerd } from '@cove/containerd-engine'
import { IMPORT_LEASE, importImage } from './import-image.ts'

const IMAGE_LEASE = 'image-'
const CHAIN_LABEL = 'cove.chain'
const IMAGE_LABEL = 'cove.image'

/** Keeps an image from being removed while something is built on it. */
export interface ImageHold extends Disposable {
  /** Name of the snapshot to build on; empty for nothing. */
  readonly chain: string
}

/**
 * Images that containerd has unpacked, each once. A lease holds each of them: it is made last, so that an image with a
 * lease is whole.
 */
export class Images {
  readonly #containerd: Containerd
  readonly #store: Pick<ImageStore, 'export' | 'list'>
  readonly #random: Random
  readonly #chains = new Map<ImageId, string>()
  readonly #holds = new Map<ImageId, number>()
  readonly #imports = new Map<ImageId, Import>()

  constructor(containerd: Containerd, store: Pick<ImageStore, 'export' | 'list'>, random: Random) {
    this.#containerd = containerd
    this.#store = store
    this.#random = random
  }

  /** Finds what earlier daemons have brought, and removes what they left half done. */
  async open(): Promise<void> {
    for (const { id, labels } of await this.#containerd.leases.list()) {
      if (id.startsWith(IMPORT_LEASE)) await this.#drop(id)
      if (!id.startsWith(IMAGE_LEASE)) continue
      const chain = labels[CHAIN_LABEL] ?? ''
      if (await this.#isThere(chain)) this.#chains.set(parseImageId(labels[IMAGE_LABEL] ?? ''), chain)
      else await this.#drop(id)
    }
    await this.sweep()
  }

  /** Brings it when it is not there; callers at the same time share the work. */
  async hold(image: ImageId, context: CreateContext): Promise<ImageHold> {
    // Counted before anything else, so that no sweep comes between.
    this.#holds.set(image, (this.#holds.get(image) ?? 0) + 1)
    let held = true
    const release = () => {
      if (!held) return
      held = false
      const count = (this.#holds.get(image) ?? 1) - 1
      if (count === 0) this.#holds.delete(image)
      else this.#holds.set(image, count)
    }
    try {
      const chain = this.#chains.get(image) ?? (await this.#import(image, context))
      return { chain, [Symbol.dispose]: release }
    } catch (error) {
      release()
      throw error
    }
  }

  /** Lets go of images that the store does not have any more. Machines and disks keep what they are built on. */
  async sweep(): Promise<void> {
    const known = new Set((await this.#store.list()).map(({ info }) => info.id))
    for (const image of this.#chains.keys()) {
      if (known.has(image) || this.#holds.has(image)) continue
      this.#chains.delete(image)
      await this.#drop(leaseOf(image))
    }
  }

  async #import(image: ImageId, context: CreateContext): Promise<string> {
    let running = this.#imports.get(image)
    // One that everybody has left is ending; the next begins when it has.
    while (running?.abandoned === true) {
      await running.done.catch(() => undefined)
      running = this.#imports.get(image)
    }
    if (running === undefined) {
      running = new Import((shared) => this.#bring(image, shared))
      this.#imports.set(image, running)
      const forget = () => this.#imports.delete(image)
      running.done.then(forget, forget)
    }
    return running.join(context)
  }

  async #bring(image: ImageId, context: CreateContext): Promise<string> {
    const chain = await importImage(this.#containerd, this.#store, image, context, this.#random, async (name) => {
      const lease = leaseOf(image)
      await this.#drop(lease)
      await this.#containerd.leases.create(lease, { [IMAGE_LABEL]: image, [CHAIN_LABEL]: name })
      if (name === '') return
      const type = `snapshots/${this.#containerd.snapshots.snapshotter}`
      await this.#containerd.leases.hold(lease, { type, id: name })
    })
    this.#chains.set(image, chain)
    return chain
  }

  async #isThere(chain: string): Promise<boolean> {
    if (chain === '') return true
    try {
      return (await this.#containerd.snapshots.stat(chain)).kind === 'committed'
    } catch (error) {
      if (isNotFound(error)) return false
      throw error
    }
  }

  async #drop(lease: string): Promise<void> {
    await this.#containerd.leases.delete(lease, { sync: false }).catch((error: unknown) => {
      if (!isNotFound(error)) throw error
    })
  }
}

/** The digest's first 32 digits: a name in containerd has at most 76 characters, and the label tells all of it. */
const leaseOf = (image: ImageId): string => `${IMAGE_LEASE}${image.slice('sha256:'.length)}`.slice(0, 76)

/** Work that ends when nobody waits for it any more. */
class Import {
  readonly done: Promise<string>
  readonly #stop = new AbortController()
  readonly #listeners = new Set<CreateContext['progress']>()
  #waiting = 0

  constructor(work: (context: CreateContext) => Promise<string>) {
    const progress = (step: string) => {
      for (const listener of this.#listeners) listener(step)
    }
    this.done = work({ signal: this.#stop.signal, progress })
  }

  get abandoned(): boolean {
    return this.#stop.signal.aborted
  }

  async join({ signal, progress }: CreateContext): Promise<string> {
    const { promise: gone, reject } = Promise.withResolvers<never>()
    const leave = () => reject(CoveError.from(signal.reason, 'cancelled'))
    if (signal.aborted) leave()
    signal.addEventListener('abort', leave, { once: true })
    this.#listeners.add(progress)
    this.#waiting += 1
    try {
      return await Promise.race([this.done, gone])
    } finally {
      signal.removeEventListener('abort', leave)
      this.#listeners.delete(progress)
      this.#waiting -= 1
      if (this.#waiting === 0) {
        this.#stop.abort()
        // Whoever gives up leaves nothing behind.
        await this.done.catch(() => undefined)
      }
    }
  }
}
