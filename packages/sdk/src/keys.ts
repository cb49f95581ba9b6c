import { IdentityService } from '@cove/api'
import type { Role } from '@cove/domain'
import type { CallOptions } from './call-options.ts'
import { keyInfo, roleNumber } from './convert/identity.ts'
import { durationOf } from './convert/time.ts'
import type { KeyInfo } from './identity-info.ts'
import type { Rpc } from './wire/rpc.ts'

/** What a new API key is to be. */
export interface CreateKeyOptions extends CallOptions {
  /** For people; need not be unique. Default: empty. */
  readonly name?: string
  /** Never above the caller's own. Default `member`. */
  readonly role?: Role
  /** Milliseconds until the key opens nothing any more. Default: never. */
  readonly expiresIn?: number
  /** Default the caller's; another one is for the operator. */
  readonly project?: string
}

/** Which keys are listed. */
export interface ListKeysOptions extends CallOptions {
  /** Default the caller's; another one is for the operator. */
  readonly project?: string
  /** Expired and revoked ones too. Default false. */
  readonly includeEnded?: boolean
}

/** A key that has just been made. */
export interface NewKey {
  readonly key: KeyInfo
  /** The key itself. Only its hash is kept: it is not shown again. */
  readonly secret: string
}

/** The API keys of a project. For admins; others are refused with `permission-denied`. */
export class Keys {
  readonly #rpc: Rpc

  /** @internal */
  constructor(rpc: Rpc) {
    this.#rpc = rpc
  }

  /** Makes a key. Its secret is in this answer and nowhere else. */
  async create(options: CreateKeyOptions = {}): Promise<NewKey> {
    const { name = '', role, project = '', expiresIn } = options
    const expiry = expiresIn === undefined ? {} : { expiresIn: durationOf(expiresIn) }
    const request = { name, project, role: roleNumber(role), ...expiry }
    const answer = await this.#rpc.unary(IdentityService.method.createKey, request, options)
    return { key: keyInfo(answer.key), secret: answer.secret }
  }

  /** Keys of the project, those that open nothing any more only when asked for. */
  async list(options: ListKeysOptions = {}): Promise<KeyInfo[]> {
    const { project = '', includeEnded = false } = options
    const answer = await this.#rpc.unary(IdentityService.method.listKeys, { project, includeEnded }, options)
    return answer.keys.map(keyInfo)
  }

  /** From now on the key opens nothing, and streams that it opened end. Twice is no error. */
  async revoke(id: string, options: CallOptions = {}): Promise<KeyInfo> {
    const answer = await this.#rpc.unary(IdentityService.method.revokeKey, { id }, { ...options, idempotent: true })
    return keyInfo(answer.key)
  }
}
