import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { CoveError } from '@cove/domain'
import { isRegistryName } from '../reference/reference.ts'
import { isObject, parseJson, type JsonObject } from './json.ts'
import type { Credentials } from './registry.ts'

const MAX_CONFIG = 1024 * 1024
/** How Docker's own registry is called where credentials are kept. */
export const DOCKER_HUB_KEY = 'https://index.docker.io/v1/'

/** What `config.json` says of one registry. */
export interface DockerLogin {
  /** `docker-credential-<helper>` knows. */
  readonly helper?: string
  readonly credentials?: Credentials
}

/** Reads Docker's configuration anew; one that is not there says nothing. Throws `config-invalid` for a broken one. */
export async function readDockerLogin(file: string, registry: string): Promise<DockerLogin> {
  const text = await readSmall(file)
  if (text === undefined) return {}
  try {
    return loginOf(parseJson(text, file), registry)
  } catch (error) {
    throw new CoveError('config-invalid', `${file}: ${CoveError.from(error).message}`, {}, { cause: error })
  }
}

/** Pure part, for bytes of any origin. */
export function loginOf(config: JsonObject, registry: string): DockerLogin {
  const entry = find(config['auths'], registry)
  const credentials = isObject(entry) ? credentialsOf(entry) : undefined
  const own = find(config['credHelpers'], registry)
  const helper = typeof own === 'string' ? own : config['credsStore']
  return {
    ...(typeof helper === 'string' && helper !== '' ? { helper } : {}),
    ...(credentials === undefined ? {} : { credentials }),
  }
}

/** Keys are hosts, or addresses with a scheme and a path. */
function find(table: unknown, registry: string): unknown {
  if (!isObject(table)) return undefined
  if (Object.hasOwn(table, registry)) return table[registry]
  const found = Object.keys(table).find((key) => registryOf(key) === registry)
  return found === undefined ? undefined : table[found]
}

function registryOf(key: string): string {
  const host = key.replace(/^https?:\/\//, '').split('/')[0] ?? ''
  const name = host.toLowerCase()
  if (['index.docker.io', 'registry-1.docker.io'].includes(name)) return 'docker.io'
  return isRegistryName(name) ? name : ''
}

function credentialsOf(entry: JsonObject): Credentials | undefined {
  const { identitytoken, registrytoken, auth } = entry
  if (typeof registrytoken === 'string' && registrytoken !== '') return { kind: 'registry-token', token: registrytoken }
  if (typeof identitytoken === 'string' && identitytoken !== '') return { kind: 'identity-token', token: identitytoken }
  const decoded = typeof auth === 'string' ? Buffer.from(auth, 'base64').toString('utf8').replace(/\0+$/, '') : ''
  const colon = decoded.indexOf(':')
  const username = colon < 0 ? entry['username'] : decoded.slice(0, colon)
  const password = colon < 0 ? entry['password'] : decoded.slice(colon + 1)
  if (typeof username !== 'string' || typeof password !== 'string' || username === '') return undefined
  return { kind: 'basic', username, password }
}

async function readSmall(file: string): Promise<Buffer | undefined> {
  try {
    await using handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK)
    const { size } = await handle.stat()
    if (size > MAX_CONFIG) throw new CoveError('config-invalid', `${file} is larger than 1 MiB`)
    const buffer = Buffer.alloc(MAX_CONFIG)
    const { bytesRead } = await handle.read(buffer, 0, MAX_CONFIG, 0)
    return buffer.subarray(0, bytesRead)
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) {
      return undefined
    }
    throw CoveError.from(error, 'config-invalid')
  }
}
