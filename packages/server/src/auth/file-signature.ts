import { createHmac, timingSafeEqual, type KeyObject } from 'node:crypto'
import { parseSandboxId, type SandboxId } from '@cove/domain'

/** What a signed address allows: one operation on one file of one sandbox. */
export interface FileGrant {
  readonly sandbox: SandboxId
  readonly path: string
  /** Empty for the default. */
  readonly user: string
  readonly operation: 'read' | 'write'
  /** Unix seconds. */
  readonly expires: number
  /** Id of the key that signed, and with which the address ends. */
  readonly key: string
}

/** The parameters of a signed address; it has each of them once, and no others. */
const PARAMETERS = ['path', 'user', 'operation', 'expires', 'key', 'signature'] as const

/** Path and query of the address. */
export function signFileUrl(secret: KeyObject, grant: FileGrant): string {
  const { sandbox, path, user, operation, expires, key } = grant
  const values = { path, user, operation, expires: String(expires), key, signature: sign(secret, grant) }
  const query = PARAMETERS.map((name) => `${name}=${encodeURIComponent(values[name])}`).join('&')
  return `/v1/sandboxes/${sandbox}/files?${query}`
}

/**
 * The grant of an address, or undefined when this secret did not sign exactly it. `parameters` are those of the query,
 * decoded, in their order. Whether it has expired is for the caller to find out.
 */
export function readFileUrl(
  secret: KeyObject,
  sandbox: string,
  parameters: readonly (readonly [string, string])[],
): FileGrant | undefined {
  const values = new Map(parameters)
  if (values.size !== parameters.length || values.size !== PARAMETERS.length) return undefined
  const [path, user, operation, expires, key, signature] = PARAMETERS.map((name) => values.get(name))
  if (path === undefined || user === undefined || key === undefined || signature === undefined) return undefined
  if ((operation !== 'read' && operation !== 'write') || !/^\d{1,12}$/.test(expires ?? '')) return undefined
  const grant = { sandbox: sandbox as SandboxId, path, user, operation, expires: Number(expires), key } as const
  const right = Buffer.from(sign(secret, grant))
  const given = Buffer.from(signature)
  if (given.length !== right.length || !timingSafeEqual(given, right)) return undefined
  return { ...grant, sandbox: parseSandboxId(sandbox) }
}

function sign(secret: KeyObject, { sandbox, path, user, operation, expires, key }: FileGrant): string {
  const said = JSON.stringify([sandbox, path, user, operation, expires, key])
  return createHmac('sha256', secret).update(said).digest('base64url')
}
