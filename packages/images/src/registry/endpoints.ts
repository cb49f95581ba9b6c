import { CoveError } from '@cove/domain'
import { isRegistryName, type Reference } from '../reference/reference.ts'
import { isLoopbackHost } from './addresses.ts'
import { Authorizer } from './authorizer.ts'
import { Endpoint } from './endpoint.ts'
import type { HttpClient } from './http-client.ts'
import type { Keyring } from './keyring.ts'
import type { RegistryOptions } from './registry.ts'

/** Beyond these, connections to the oldest are made anew. */
const MAX_KEPT = 500
const PREFIX = /^[a-z0-9._/-]*$/

/** Knows the servers that may have an image, and remembers what was learnt of each. */
export class Endpoints {
  readonly #options: Pick<RegistryOptions, 'insecure' | 'mirrors'>
  readonly #http: HttpClient
  readonly #keyring: Keyring
  readonly #closed: AbortSignal
  readonly #kept = new Map<string, Endpoint>()

  constructor(options: RegistryOptions, http: HttpClient, keyring: Keyring, closed: AbortSignal) {
    this.#options = options
    this.#http = http
    this.#keyring = keyring
    this.#closed = closed
  }

  /** Mirrors first, the registry itself last. */
  of({ registry }: Reference): readonly [...Endpoint[], Endpoint] {
    const { mirrors = {} } = this.#options
    const before = Object.hasOwn(mirrors, registry) ? (mirrors[registry] ?? []) : []
    return [...before.map((mirror) => this.#endpoint(mirror)), this.#endpoint(registry)]
  }

  #endpoint(place: string): Endpoint {
    const found = this.#kept.get(place)
    if (found !== undefined) return found
    const made = this.#make(place)
    const [oldest] = this.#kept.keys()
    if (this.#kept.size >= MAX_KEPT && oldest !== undefined) this.#kept.delete(oldest)
    this.#kept.set(place, made)
    return made
  }

  /** `host[:port][/path]`, or the same as a URL. */
  #make(place: string): Endpoint {
    const scheme = /^https?:\/\//.exec(place)?.[0]
    const rest = place.slice(scheme?.length ?? 0).replace(/\/+$/, '')
    const [name = '', ...path] = rest.split('/')
    const prefix = path.map((part) => `${part}/`).join('')
    if (!isRegistryName(name.toLowerCase()) || !PREFIX.test(prefix)) {
      throw new CoveError(
        'config-invalid',
        `${JSON.stringify(place.slice(0, 200))} is no address of a registry or mirror`,
        {},
        { fix: 'Write host, host:port, or a URL of http or https.' },
      )
    }
    const registry = name.toLowerCase()
    const host = registry === 'docker.io' ? 'registry-1.docker.io' : registry
    const bases = scheme === undefined ? this.#bases(registry, host) : [new URL(`${scheme}${host}`)]
    const authorizer = new Authorizer(registry, this.#http, this.#keyring, this.#closed)
    return new Endpoint(registry, bases, prefix, this.#http, authorizer)
  }

  #bases(registry: string, host: string): readonly URL[] {
    const secure = new URL(`https://${host}`)
    const plain = isLoopbackHost(secure.hostname) || (this.#options.insecure ?? []).includes(registry)
    return plain ? [secure, new URL(`http://${host}`)] : [secure]
  }
}
