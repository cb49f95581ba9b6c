import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { isAbsolute, join } from 'node:path'
import { CoveError } from '@cove/domain'

/** Where a Docker Engine listens. */
export type EngineAddress =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number; readonly tls?: EngineTls }

/** PEM texts. */
export interface EngineTls {
  readonly ca: string
  readonly cert: string
  readonly key: string
}

export type EngineEnvironment = Readonly<Record<string, string | undefined>>

const DEFAULT_SOCKET = '/var/run/docker.sock'
const TLS_PORT = 2376
const PORT = 2375
const MAX_META_BYTES = 64 * 1024

/**
 * The engine that the `docker` command would use: `DOCKER_HOST`, else the context of `DOCKER_CONTEXT` or of the
 * command's configuration, else the usual socket. Says nothing about whether one answers there.
 */
export async function findEngineAddress(env: EngineEnvironment): Promise<EngineAddress> {
  const host = env['DOCKER_HOST']
  if (host !== undefined && host !== '') return withTls(parseEngineAddress(host), env)
  const folder = env['DOCKER_CONFIG'] ?? (env['HOME'] === undefined ? undefined : join(env['HOME'], '.docker'))
  const context = env['DOCKER_CONTEXT'] ?? (folder === undefined ? undefined : await currentContext(folder))
  if (context === undefined || context === '' || context === 'default' || folder === undefined) {
    return { kind: 'unix', path: DEFAULT_SOCKET }
  }
  return contextAddress(folder, context)
}

/** `unix:///path`, `tcp://host:port`, `http://host:port`. */
export function parseEngineAddress(text: string): EngineAddress {
  if (text.startsWith('unix://')) {
    const path = text.slice('unix://'.length)
    if (isAbsolute(path) && !path.includes('\0')) return { kind: 'unix', path }
  } else if (/^(?:tcp|http):\/\//.test(text) && URL.canParse(text.replace(/^tcp:/, 'http:'))) {
    const { hostname, port, pathname, username } = new URL(text.replace(/^tcp:/, 'http:'))
    if (hostname !== '' && (pathname === '/' || pathname === '') && username === '') {
      return { kind: 'tcp', host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? PORT : Number(port) }
    }
  }
  throw new CoveError(
    'config-invalid',
    `${JSON.stringify(text.slice(0, 200))} is no address of a Docker Engine`,
    { address: text.slice(0, 200) },
    { fix: 'Use unix:///path/to/docker.sock or tcp://host:port.' },
  )
}

async function withTls(address: EngineAddress, env: EngineEnvironment): Promise<EngineAddress> {
  const folder = env['DOCKER_CERT_PATH']
  if (address.kind !== 'tcp' || env['DOCKER_TLS_VERIFY'] === undefined || env['DOCKER_TLS_VERIFY'] === '')
    return address
  if (folder === undefined) {
    throw new CoveError('config-invalid', 'DOCKER_TLS_VERIFY is set and DOCKER_CERT_PATH is not', {}, { fix: TLS_FIX })
  }
  const read = (name: string): Promise<string> => readFile(join(folder, name), 'utf8')
  try {
    const [ca, cert, key] = await Promise.all([read('ca.pem'), read('cert.pem'), read('key.pem')])
    return { ...address, port: address.port === PORT ? TLS_PORT : address.port, tls: { ca, cert, key } }
  } catch (cause) {
    throw new CoveError('config-invalid', `the certificates in ${folder} cannot be read`, {}, { fix: TLS_FIX, cause })
  }
}

const TLS_FIX = 'Let DOCKER_CERT_PATH name a folder with ca.pem, cert.pem and key.pem.'

async function currentContext(folder: string): Promise<string | undefined> {
  const config = await readJson(join(folder, 'config.json'))
  const name = config?.['currentContext']
  return typeof name === 'string' ? name : undefined
}

/** Contexts lie in folders that are named after the SHA-256 of their names. */
async function contextAddress(folder: string, context: string): Promise<EngineAddress> {
  const hash = createHash('sha256').update(context).digest('hex')
  const meta = await readJson(join(folder, 'contexts', 'meta', hash, 'meta.json'))
  const endpoints = meta?.['Endpoints']
  const docker = isObject(endpoints) ? endpoints['docker'] : undefined
  const host = isObject(docker) ? docker['Host'] : undefined
  if (typeof host === 'string') return parseEngineAddress(host)
  throw new CoveError(
    'config-invalid',
    `there is no Docker context ${JSON.stringify(context)}`,
    { context },
    { fix: 'See `docker context ls`, or set DOCKER_HOST.' },
  )
}

async function readJson(path: string): Promise<Readonly<Record<string, unknown>> | undefined> {
  try {
    const text = await readFile(path, 'utf8')
    if (text.length > MAX_META_BYTES) return undefined
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
