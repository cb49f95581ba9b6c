import { readFile } from 'node:fs/promises'
import {
  CoveError,
  formatSource,
  parseSource,
  type CommitRequest,
  type FetchOptions,
  type FetchProgress,
  type ImageId,
  type ImageLease,
  type ImageStore,
  type ParsedSource,
  type Platform,
  type StoredImage,
} from '@cove/domain'
import { exportImage } from '../forms/export-image.ts'
import { makeDiskFile } from '../forms/disk-file.ts'
import { formatPlatform, hostPlatform, parsePlatform } from '../registry/platform.ts'
import { formatReference, parseReference } from '../reference/reference.ts'
import { fetchImage, takeArchive, type FetchRequest } from '../sources/fetch-image.ts'
import { stampOf } from '../sources/stamp.ts'
import { Collecting } from './collecting.ts'
import { commitImage } from './commit-image.ts'
import { configFile } from './folders.ts'
import { holdImage, type HeldImage } from './keep-image.ts'
import { leaseOf } from './lease.ts'
import { listImages } from './list-images.ts'
import type { StoreParts } from './parts.ts'
import { Settling } from './settle.ts'
import { SharedWork } from './shared-work.ts'

/** The images of one node, in a folder of it. */
export class LocalImageStore implements ImageStore {
  readonly #parts: StoreParts
  readonly #fetches = new SharedWork<HeldImage, FetchProgress>((image) => image.again())
  readonly #files = new SharedWork<MadeFile, void>((file) => file)
  readonly #collecting: Collecting
  readonly #settling: Settling
  readonly #stop = new AbortController()
  #closing: Promise<void> | undefined
  #under = 0
  #idle = Promise.withResolvers<void>()

  constructor(parts: StoreParts, budgetBytes: number) {
    this.#parts = parts
    this.#collecting = new Collecting(parts, budgetBytes)
    this.#settling = new Settling(parts)
  }

  async fetch(text: string, options: FetchOptions): Promise<ImageLease> {
    this.#check()
    const source = canonical(parseSource(text))
    const platform = options.platform === undefined ? hostPlatform() : parsePlatform(options.platform)
    const stamp = await stampOf(source)
    const name = nameOf(source, platform)
    if (stamp !== 'always' && options.refresh !== true) {
      const here = this.#named(name, stamp.text)
      if (here !== undefined) return this.#lease(here)
    }
    const named = stamp === 'always' || stamp.text === undefined ? { text: name } : { text: name, stamp: stamp.text }
    const key = JSON.stringify([named, options.refresh === true])
    const held = await this.#work(async () => {
      return await this.#fetches.join(key, options, async (signal, progress) => {
        return await fetchImage(this.#parts, { source, platform, name: named, signal, progress })
      })
    })
    return this.#made(held)
  }

  async lease(id: ImageId): Promise<ImageLease> {
    this.#check()
    return this.#lease(holdImage(this.#parts, this.#find(id)))
  }

  async list(): Promise<readonly StoredImage[]> {
    this.#check()
    return await listImages(this.#parts, this.#collecting.inUse())
  }

  keep(inUse: () => Iterable<ImageId>): void {
    this.#collecting.keep(inUse)
  }

  async commit(request: CommitRequest): Promise<ImageLease> {
    const { signal } = request
    const both = AbortSignal.any([signal, this.#stop.signal])
    return this.#made(await this.#work(async () => await commitImage(this.#parts, { ...request, signal: both })))
  }

  async pin(name: string, id: ImageId): Promise<void> {
    checkPin(name)
    await this.#work(async () => {
      using image = holdImage(this.#parts, this.#find(id))
      const { catalog } = this.#parts
      const isFresh = image.record.layers.some((number) => catalog.layer(number).unsynced !== undefined)
      if (isFresh) await this.#settling.settle()
      await catalog.update(({ pins }) => pins.set(name, id))
    })
  }

  async unpin(name: string): Promise<void> {
    const { catalog } = this.#parts
    if (!catalog.state.pins.has(name)) return
    await this.#work(async () => await catalog.update(({ pins }) => pins.delete(name)))
    this.#collecting.soon()
  }

  async remove(id: ImageId): Promise<void> {
    await this.#work(async () => await this.#collecting.remove(id))
  }

  async collect(bytes?: number): Promise<number> {
    return await this.#work(async () => await this.#collecting.collect(bytes))
  }

  async export(id: ImageId, format: 'oci' | 'docker', signal: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
    this.#check()
    const held = holdImage(this.#parts, this.#find(id))
    try {
      const config = await readFile(configFile(this.#parts.folders, held.record.number))
      const both = AbortSignal.any([signal, this.#stop.signal])
      return exportImage(this.#parts, { image: held, config, format, signal: both })
    } catch (error) {
      held[Symbol.dispose]()
      throw error
    }
  }

  async import(archive: AsyncIterable<Uint8Array>, options: FetchOptions): Promise<ImageLease> {
    const platform = options.platform === undefined ? hostPlatform() : parsePlatform(options.platform)
    const signal = AbortSignal.any([options.signal, this.#stop.signal])
    const request: FetchRequest = {
      source: { kind: 'oci-archive', path: '-' },
      platform,
      signal,
      progress: options.progress,
    }
    return this.#made(await this.#work(async () => await takeArchive(this.#parts, request, archive)))
  }

  async file(id: ImageId, format: 'erofs' | 'ext4', signal: AbortSignal): Promise<string> {
    return await this.#work(async () => {
      using image = holdImage(this.#parts, this.#find(id))
      const waiter = { signal, progress: () => {} }
      using file = await this.#files.join(`${image.record.number}.${format}`, waiter, async (stopped) => {
        return madeFile(await makeDiskFile(this.#parts, image, format, stopped))
      })
      return file.path
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close()
    await this.#closing
  }

  async #close(): Promise<void> {
    const reason = closed()
    this.#stop.abort(reason)
    const { pulls, unpacks } = this.#parts
    await Promise.all([this.#fetches, this.#files, pulls, unpacks].map(async (shared) => await shared.stop(reason)))
    if (this.#under > 0) await this.#idle.promise
    await Promise.all([this.#collecting.idle(), this.#settling.idle()])
    // When images were used last is worth a write now.
    await this.#parts.catalog.update(() => {}).catch(() => {})
    this.#parts.close()
  }

  #check(): void {
    if (this.#stop.signal.aborted) throw closed()
  }

  /** Closing waits for it. */
  async #work<Result>(work: () => Promise<Result>): Promise<Result> {
    this.#check()
    this.#under++
    try {
      return await work()
    } catch (error) {
      throw CoveError.from(error, 'io-error')
    } finally {
      if (--this.#under === 0 && this.#stop.signal.aborted) this.#idle.resolve()
    }
  }

  #named(name: string, stamp: string | undefined): HeldImage | undefined {
    const { catalog } = this.#parts
    const known = catalog.state.names.get(name)
    if (known === undefined || known.stamp !== stamp) return undefined
    const record = catalog.image(known.image)
    return record === undefined ? undefined : holdImage(this.#parts, record)
  }

  #find(id: ImageId) {
    const record = this.#parts.catalog.image(id)
    if (record !== undefined) return record
    throw new CoveError('image-not-found', `there is no image ${id} on this node`, { image: id })
  }

  #lease(held: HeldImage): ImageLease {
    return leaseOf(this.#parts, held)
  }

  /** Leased before anything is collected. */
  #made(held: HeldImage): ImageLease {
    const lease = this.#lease(held)
    this.#collecting.soon()
    void this.#settling.settle().catch((error: unknown) => {
      this.#parts.log.warn('layers are not known to be on the disk', { error: String(error) })
    })
    return lease
  }
}

interface MadeFile extends Disposable {
  readonly path: string
}

/** The image holds it. */
const madeFile = (path: string): MadeFile => ({ path, [Symbol.dispose]: () => {} })

/** One way to write each source. `invalid-argument` for `host`, which is no image. */
function canonical(source: ParsedSource): FetchRequest['source'] {
  if (source.kind === 'host') {
    throw new CoveError('invalid-argument', 'the programs of the host are no image that could be fetched', {
      field: 'source',
    })
  }
  if (source.kind !== 'oci') return source
  return { kind: 'oci', reference: formatReference(parseReference(source.reference)) }
}

function nameOf(source: ParsedSource, platform: Platform): string {
  return `${formatSource(source)} ${formatPlatform(platform)}`
}

function checkPin(name: string): void {
  if (name.length > 0 && name.length <= 512) return
  throw new CoveError('invalid-argument', 'the name of a pin has 1 to 512 characters', { field: 'name' })
}

function closed(): CoveError {
  return new CoveError('store-closed', 'the store of images is closed')
}
