import { CoveError, parseIp } from '@cove/domain'
import { isDigest } from './digest.ts'

/** An image in a registry, in full. */
export interface Reference {
  /** `host` or `host:port`, lower case; `docker.io` where none was named. IPv6 addresses are in brackets. */
  readonly registry: string
  /** With `library/` before the short names of `docker.io`. */
  readonly repository: string
  /** `latest` when neither tag nor digest was named. Means nothing when there is a digest. */
  readonly tag?: string
  readonly digest?: string
}

const MAX_NAME = 255
const MAX_TEXT = 600
const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/
const TAG = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
const PORT = /^[1-9]\d{0,4}$/

/** Reads `alpine`, `user/app:1.2`, `ghcr.io/x/y@sha256:…`, `[::1]:5000/x`. `invalid-argument` says what is wrong. */
export function parseReference(text: string): Reference {
  if (text.length > MAX_TEXT) throw refused(`${text.slice(0, 40)}…`, 'is too long')
  const at = text.indexOf('@')
  const digest = at < 0 ? undefined : text.slice(at + 1)
  if (digest !== undefined && !isDigest(digest)) throw refused(text, 'has a digest that is not sha256 or sha512')
  const beforeDigest = at < 0 ? text : text.slice(0, at)
  const colon = beforeDigest.lastIndexOf(':')
  const tagged = colon > beforeDigest.lastIndexOf('/')
  const tag = tagged ? beforeDigest.slice(colon + 1) : undefined
  if (tag !== undefined && !TAG.test(tag)) throw refused(text, 'has a tag that is not 1 to 128 of A-Z a-z 0-9 . _ -')
  const { registry, path } = splitRegistry(text, tagged ? beforeDigest.slice(0, colon) : beforeDigest)
  const repository = registry === 'docker.io' && !path.includes('/') ? `library/${path}` : path
  checkRepository(text, path)
  if (registry.length + 1 + repository.length > MAX_NAME) throw refused(text, `has a name of more than ${MAX_NAME}`)
  if (digest !== undefined) return { registry, repository, ...(tag === undefined ? {} : { tag }), digest }
  return { registry, repository, tag: tag ?? 'latest' }
}

/** In full; `parseReference` reads it back as it was. */
export function formatReference({ registry, repository, tag, digest }: Reference): string {
  return `${registry}/${repository}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`
}

/** Whether a text is the name of a registry as references have it, in lower case. */
export function isRegistryName(text: string): boolean {
  const ipv6 = /^\[([^\]]*)\](?::(.*))?$/.exec(text)
  if (ipv6 !== null) return parseIp(ipv6[1] ?? '')?.family === 6 && isPort(ipv6[2])
  const [host = '', port, ...more] = text.split(':')
  return more.length === 0 && host.length <= 253 && host.split('.').every((label) => LABEL.test(label)) && isPort(port)
}

function isPort(port: string | undefined): boolean {
  return port === undefined || (PORT.test(port) && Number(port) <= 65_535)
}

/** The first part is a registry when it cannot be the name of a user: it has a dot or a port, or is localhost. */
function splitRegistry(text: string, name: string): { readonly registry: string; readonly path: string } {
  const slash = name.indexOf('/')
  const first = slash < 0 ? '' : name.slice(0, slash)
  const isRegistry = /[.:[]/.test(first) || first === 'localhost'
  if (!isRegistry) return { registry: 'docker.io', path: name }
  const registry = first.toLowerCase()
  if (!isRegistryName(registry)) throw refused(text, 'has a registry that is not host or host:port')
  return { registry: registry === 'index.docker.io' ? 'docker.io' : registry, path: name.slice(slash + 1) }
}

function checkRepository(text: string, path: string): void {
  if (path === '') throw refused(text, 'names no image')
  if (path !== path.toLowerCase()) throw refused(text, 'has capitals in its name')
  if (/^[0-9a-f]{64}$/.test(path)) throw refused(text, 'is an image id; name an image')
  if (!path.split('/').every((part) => COMPONENT.test(part))) {
    throw refused(text, 'has a name that is not of a-z 0-9, with single . _ - between')
  }
}

function refused(text: string, problem: string): CoveError {
  return new CoveError(
    'invalid-argument',
    `image reference ${JSON.stringify(text)} ${problem}`,
    { field: 'reference' },
    { fix: 'Write [registry[:port]/]name[:tag] or name@sha256:…, for example docker.io/library/alpine:3.20.' },
  )
}
