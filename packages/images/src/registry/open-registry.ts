import { CoveError, type Platform } from '@cove/domain'
import { digestOf, algorithmOf } from '../reference/digest.ts'
import { formatReference, parseReference, type Reference } from '../reference/reference.ts'
import { describe } from './blob-file.ts'
import { downloadBlob } from './download-blob.ts'
import type { Endpoint } from './endpoint.ts'
import { Endpoints } from './endpoints.ts'
import { HttpClient } from './http-client.ts'
import type { Compression, Descriptor, FetchLayerOptions, ImageSource, LayerBlob } from './image-source.ts'
import { Keyring } from './keyring.ts'
import { MANIFEST_TYPES, MAX_MANIFEST, parseManifest, type Manifest } from './manifest.ts'
import type { Registry, RegistryOptions } from './registry.ts'
import { resolveImage } from './resolve-image.ts'
import { Slots } from './slots.ts'
import { patiently, type Patience } from './temporary-fault.ts'

type Tuning = Required<Pick<RegistryOptions, 'parallel' | 'stallMs' | 'retries' | 'backoffMs'>>

const DEFAULTS: Tuning = { parallel: 3, stallMs: 30_000, retries: 4, backoffMs: 500 }

/** Opens nothing yet: connections are made as they are needed, and closed with it. */
export function openRegistry(options: RegistryOptions = {}): Registry {
  return new RegistryClient(options)
}

class RegistryClient implements Registry {
  readonly #tuning: Tuning
  readonly #allowed: readonly string[]
  readonly #http: HttpClient
  readonly #endpoints: Endpoints
  readonly #closed = new AbortController()

  constructor(options: RegistryOptions) {
    this.#tuning = { ...DEFAULTS, ...options }
    this.#allowed = options.allowed ?? []
    const { stallMs } = this.#tuning
    this.#http = new HttpClient({ stallMs, certificateAuthorities: options.certificateAuthorities ?? [] })
    this.#endpoints = new Endpoints(options, this.#http, new Keyring(options), this.#closed.signal)
  }

  [Symbol.dispose](): void {
    this.#closed.abort(new CoveError('cancelled', 'the registry client was closed'))
    this.#http[Symbol.dispose]()
  }

  async resolve(text: string, platform: Platform, signal: AbortSignal): Promise<ImageSource> {
    const reference = parseReference(text)
    this.#refuseOthers(reference)
    const endpoints = this.#endpoints.of(reference)
    // Of each image, so that a slow registry holds up only what comes from it.
    const slots = new Slots(this.#tuning.parallel)
    const either = AbortSignal.any([signal, this.#closed.signal])
    return firstOf(
      endpoints,
      async (endpoint, patience) => {
        const documents = new Documents(endpoint, reference.repository, { ...patience, signal: either })
        const image = await resolveImage(await documents.first(reference), platform, documents)
        // What had the manifest has the layers, most likely.
        const order = [endpoint, ...endpoints.filter((other) => other !== endpoint)]
        return {
          name: formatReference(reference),
          ...image,
          fetchLayer: (layer, file, how) =>
            slots.run(() => this.#fetch(order, reference.repository, layer, file, how), how.signal),
          [Symbol.asyncDispose]: () => Promise.resolve(),
        } satisfies ImageSource
      },
      this.#tuning,
    )
  }

  #refuseOthers({ registry }: Reference): void {
    if (this.#allowed.length === 0 || this.#allowed.includes(registry)) return
    const fix = `Use an image of ${this.#allowed.slice(0, 5).join(', ')}, or ask the operator to add it to the setting \`registries\`.`
    throw new CoveError('permission-denied', `images of ${registry} are not allowed here`, { registry }, { fix })
  }

  #fetch(
    endpoints: readonly Endpoint[],
    repository: string,
    layer: LayerBlob,
    file: string,
    options: FetchLayerOptions,
  ): Promise<Compression> {
    const signal = AbortSignal.any([options.signal, this.#closed.signal])
    const attempt = (endpoint: Endpoint, patience: Omit<Patience, 'signal'>): Promise<Compression> => {
      const get = (headers: Readonly<Record<string, string>>) =>
        endpoint.get(repository, `blobs/${layer.digest}`, headers, signal)
      return downloadBlob(layer, file, get, { ...options, signal }, patience)
    }
    return firstOf(endpoints, attempt, this.#tuning)
  }
}

/** Manifests and configurations of one repository at one endpoint. */
class Documents {
  readonly #endpoint: Endpoint
  readonly #repository: string
  readonly #patience: Patience

  constructor(endpoint: Endpoint, repository: string, patience: Patience) {
    this.#endpoint = endpoint
    this.#repository = repository
    this.#patience = patience
  }

  first({ tag, digest }: Reference): Promise<Manifest> {
    return this.#manifest(digest ?? tag ?? 'latest', digest)
  }

  manifest({ digest, size }: Descriptor): Promise<Manifest> {
    return this.#manifest(digest, digest, size)
  }

  async config(descriptor: Descriptor): Promise<Uint8Array> {
    const { bytes } = await this.#read(`blobs/${descriptor.digest}`, {}, descriptor.size, descriptor.digest)
    if (bytes.length !== descriptor.size) throw changed(descriptor.digest)
    return bytes
  }

  async #manifest(name: string, digest: string | undefined, size?: number): Promise<Manifest> {
    const accept = { Accept: MANIFEST_TYPES.join(', ') }
    const { bytes, type, said } = await this.#read(`manifests/${name}`, accept, size ?? MAX_MANIFEST, digest)
    if (size !== undefined && bytes.length !== size) throw changed(name)
    if (digest === undefined && said !== undefined && said !== digestOf(bytes, algorithmOf(said))) throw changed(said)
    return parseManifest(bytes, type)
  }

  /** A document of at most so many bytes; verified when its digest is known. */
  #read(path: string, headers: Readonly<Record<string, string>>, most: number, digest: string | undefined) {
    return patiently(async () => {
      const answer = await this.#endpoint.get(this.#repository, path, headers, this.#patience.signal)
      const bytes = answer.status === 200 ? await answer.bytes(most) : undefined
      if (bytes === undefined) {
        answer.discard()
        const what = `a document of the image has more than the ${most} bytes that it may have`
        throw new CoveError('image-invalid', what)
      }
      if (digest !== undefined && digestOf(bytes, algorithmOf(digest)) !== digest) throw changed(digest)
      const said = answer.headers['docker-content-digest']
      return {
        bytes,
        type: answer.headers['content-type'],
        said: typeof said === 'string' && /^sha(256|512):/.test(said) ? said : undefined,
      }
    }, this.#patience)
  }
}

/** Of several that should all give the same, the first that does. The last one's reason is the one that is told. */
async function firstOf<T>(
  endpoints: readonly Endpoint[],
  attempt: (endpoint: Endpoint, patience: Omit<Patience, 'signal'>) => Promise<T>,
  { retries, backoffMs }: Omit<Patience, 'signal'>,
): Promise<T> {
  let last: CoveError | undefined
  for (const [at, endpoint] of endpoints.entries()) {
    try {
      // Another one is tried sooner than the same one often.
      return await attempt(endpoint, { retries: at < endpoints.length - 1 ? Math.min(1, retries) : retries, backoffMs })
    } catch (error) {
      last = CoveError.from(error, 'io-error')
      if (!ELSEWHERE.has(last.code)) break
    }
  }
  throw last ?? new CoveError('internal', 'there is no registry to ask')
}

/** What another server may do better. */
const ELSEWHERE = new Set(['image-not-found', 'unauthenticated', 'registry-unavailable', 'image-invalid'])

function changed(digest: string): CoveError {
  return new CoveError(
    'image-invalid',
    `${describe({ digest, size: 0, mediaType: '' })} has arrived with another digest`,
  )
}
