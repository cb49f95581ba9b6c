import type { IncomingHttpHeaders } from 'node:http'
import { CoveError, type Clock } from '@cove/domain'
import { tokenOf, unauthenticated } from './credentials.ts'
import type { KeyRing } from './key-ring.ts'
import type { Principal } from './principal.ts'
import { RateLimiter, addressKey, rateLimited, type Rate } from './rate-limiter.ts'

/** Header by which the operator chooses a project. */
export const PROJECT_HEADER = 'cove-project'

export interface AuthenticatorOptions {
  readonly keys: KeyRing
  readonly hasProject: (name: string) => boolean
  readonly clock: Clock
  /** Of one key, and of one address without a key. */
  readonly rate: Rate
  /** Wrong keys and signatures from one address. */
  readonly failures: Rate
}

/** Wrong keys of all addresses that are written down: many addresses at once must not fill the audit log either. */
const NOTED: Rate = { perSecond: 0.1, burst: 100 }

/** A principal, or why there is none; without both no key was sent. */
export interface Caller {
  readonly principal?: Principal
  readonly refusal?: CoveError
  /** The key was wrong, and worth a line in the audit log: there have not been many of them. */
  readonly wrongKey?: true
}

/**
 * Says who calls. A wrong key costs one hash and an entry in a bounded table; an address that sends many is told to
 * wait, while whoever has a key goes on working from the same address.
 */
export class Authenticator {
  readonly #options: AuthenticatorOptions
  readonly #calls: RateLimiter
  readonly #strangers: RateLimiter
  readonly #failures: RateLimiter
  readonly #noted: RateLimiter

  constructor(options: AuthenticatorOptions) {
    this.#options = options
    this.#calls = new RateLimiter(options.rate, options.clock)
    this.#strangers = new RateLimiter(options.rate, options.clock)
    this.#failures = new RateLimiter(options.failures, options.clock)
    this.#noted = new RateLimiter(NOTED, options.clock)
  }

  async authenticate(headers: IncomingHttpHeaders, from: string): Promise<Caller> {
    const token = tokenOf(headers)
    if (token === undefined) return refused(this.stranger(from))
    const principal = await this.#options.keys.verify(token)
    if (principal === undefined) {
      const tooMany = this.failed(from)
      if (tooMany !== undefined) return { refusal: tooMany }
      const isNoted = this.#noted.take('') === 0
      return { refusal: unauthenticated(), ...(isNoted ? { wrongKey: true } : {}) }
    }
    const wait = this.#calls.take(principal.sandbox ?? principal.key)
    if (wait > 0) return { refusal: rateLimited(wait) }
    const project = headers[PROJECT_HEADER]
    return project === undefined ? { principal } : this.#inProject(principal, project)
  }

  /** Counts a call without a key; answers with the refusal when there are too many. */
  stranger(from: string): CoveError | undefined {
    const wait = this.#strangers.take(addressKey(from))
    return wait > 0 ? rateLimited(wait) : undefined
  }

  /** Counts a wrong key or signature; answers with the refusal when there are too many. */
  failed(from: string): CoveError | undefined {
    const wait = this.#failures.take(addressKey(from))
    return wait > 0 ? rateLimited(wait, 'too many wrong keys from this address') : undefined
  }

  #inProject(principal: Principal, name: string | string[]): Caller {
    if (name === principal.project) return { principal }
    if (typeof name !== 'string' || !principal.operator) {
      return {
        refusal: new CoveError(
          'permission-denied',
          'this key is for another project',
          {},
          {
            fix: 'Use a key of that project, or leave the header Cove-Project out.',
          },
        ),
      }
    }
    if (!this.#options.hasProject(name)) {
      const shown = JSON.stringify(name.slice(0, 80))
      return { refusal: new CoveError('project-not-found', `there is no project ${shown}`) }
    }
    return { principal: { ...principal, project: name } }
  }
}

const refused = (refusal: CoveError | undefined): Caller => (refusal === undefined ? {} : { refusal })
