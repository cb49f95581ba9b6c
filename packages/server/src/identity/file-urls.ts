import type { KeyObject } from 'node:crypto'
import { CoveError, type Clock, type Sandbox, type SandboxId } from '@cove/domain'
import { readFileUrl, signFileUrl, type FileGrant } from '../auth/file-signature.ts'
import { requireRole, type Principal } from '../auth/principal.ts'
import { endedError } from '../sandboxes/ledger.ts'
import { checkExpiry } from './request.ts'

const DEFAULT_MS = 3_600_000
const LONGEST_MS = 7 * 24 * 3_600_000

export interface FileUrlsOptions {
  readonly secret: KeyObject
  readonly clock: Clock
  /** The signal of a key that still opens; undefined when it does not. */
  readonly livingKey: (id: string) => AbortSignal | undefined
  readonly findSandbox: (id: SandboxId) => Promise<Sandbox | undefined>
}

export interface SignRequest {
  readonly path: string
  readonly user: string
  readonly operation: 'read' | 'write'
  /** Milliseconds; at most 7 days, by default one hour. */
  readonly expiresIn?: number | undefined
}

/** Addresses that open one file without a key: signed, not stored. They end with the sandbox or the key that signed. */
export class FileUrls {
  readonly #options: FileUrlsOptions

  constructor(options: FileUrlsOptions) {
    this.#options = options
  }

  sign(
    caller: Principal,
    { spec }: Sandbox,
    request: SignRequest,
  ): { readonly url: string; readonly expiresAt: number } {
    const { path, user, operation, expiresIn = DEFAULT_MS } = request
    requireRole(caller, operation === 'write' ? 'member' : 'viewer')
    const ms = checkExpiry(expiresIn, LONGEST_MS, '7 days')
    const until = Math.min(this.#options.clock.now() + ms, caller.expiresAt ?? Infinity)
    const expires = Math.floor(until / 1000)
    const grant: FileGrant = { sandbox: spec.id, path, user, operation, expires, key: caller.issuer ?? caller.key }
    return { url: signFileUrl(this.#options.secret, grant), expiresAt: expires * 1000 }
  }

  /** Undefined for an address that was not signed here; throws for one that does not open any more. */
  async verify(
    sandbox: string,
    parameters: readonly (readonly [string, string])[],
  ): Promise<{ readonly grant: FileGrant; readonly principal: Principal } | undefined> {
    const { secret, clock, livingKey, findSandbox } = this.#options
    const grant = readFileUrl(secret, sandbox, parameters)
    if (grant === undefined) return undefined
    if (grant.expires * 1000 <= clock.now()) throw over('the address has expired')
    const found = await findSandbox(grant.sandbox)
    const ended = livingKey(grant.key)
    if (ended === undefined) throw over('the key that signed the address opens nothing any more')
    if (found === undefined) throw endedError(sandbox, found)
    const role = grant.operation === 'write' ? 'member' : 'viewer'
    const { project } = found.spec
    return { grant, principal: { key: grant.key, project, sandbox: grant.sandbox, role, operator: false, ended } }
  }
}

function over(why: string): CoveError {
  return new CoveError('permission-denied', why, {}, { fix: 'Ask for a new address.' })
}
