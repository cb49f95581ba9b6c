import { isIP } from 'node:net'
import { CoveError } from '@cove/domain'

/**
 * Stands against DNS rebinding and requests that other sites make a browser send. An attacker's page reaches a
 * local server only under a host name of the attacker's, or with an `Origin` of the attacker's; IP addresses
 * cannot be rebound.
 */
export class OriginCheck {
  readonly #allowed: ReadonlySet<string>

  constructor(allowedHosts: readonly string[]) {
    this.#allowed = new Set(['localhost', ...allowedHosts.map((host) => host.toLowerCase())])
  }

  /** The refusal, or undefined when all is well. `host` is the Host header or `:authority`. */
  check(host: string | undefined, origin: string | undefined): CoveRefusal | undefined {
    const name = host === undefined ? undefined : hostname(host)
    if (name === undefined || !(this.#allowed.has(name) || isIP(name) !== 0)) {
      return {
        status: 421,
        error: new CoveError(
          'permission-denied',
          'this server does not answer for that host',
          {},
          {
            fix: 'Use a loopback name or an IP address, or add the host to the allowed hosts of the server.',
          },
        ),
      }
    }
    if (origin === undefined) return undefined
    const from = parseOrigin(origin)
    if (from !== undefined && (from.host === host?.toLowerCase() || this.#isListed(from.hostname))) return undefined
    return {
      status: 403,
      error: new CoveError(
        'permission-denied',
        'requests from pages of that origin are refused',
        {},
        {
          fix: 'Call from a program, or add the host of the page to the allowed hosts of the server.',
        },
      ),
    }
  }

  /** Loopback names are no origin to trust: every local web page has one. Only what was listed is. */
  #isListed(name: string): boolean {
    return name !== 'localhost' && this.#allowed.has(name)
  }
}

export interface CoveRefusal {
  readonly status: number
  readonly error: CoveError
}

/** The host name in a Host header, lowercase, without port and brackets. */
function hostname(host: string): string | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+))(?::\d{1,5})?$/.exec(host)
  return (match?.[1] ?? match?.[2])?.toLowerCase().replace(/\.$/, '')
}

function parseOrigin(origin: string): { host: string; hostname: string } | undefined {
  if (!URL.canParse(origin)) return undefined
  const { host, hostname: name, origin: canonical } = new URL(origin)
  return canonical === 'null' ? undefined : { host, hostname: name }
}
