import { CoveError } from './errors/cove-error.ts'
import { formatIp, IP_BITS, networkOf, parseIp, type IpAddress } from './ip-address.ts'

/**
 * What a sandbox may reach. `none` is the default: only its own loopback. `internet`: public addresses, and what
 * `allow` names besides: `10.1.2.3`, `10.1.0.0/16`, each with `:port`; `[fd12::1]:5432`; `db.example.com:5432`;
 * `host:5432` for a port of the host's own loopback. At most 64 entries.
 */
export type Network = { readonly kind: 'none' } | { readonly kind: 'internet'; readonly allow: readonly string[] }

/** One entry of `allow`, understood. */
export type AllowedTarget =
  | { readonly kind: 'addresses'; readonly network: IpAddress; readonly bits: number; readonly port?: number }
  /** Resolved when the machine is created. */
  | { readonly kind: 'name'; readonly name: string; readonly port: number }
  /** A port of the host's own loopback. */
  | { readonly kind: 'host'; readonly port: number }

export const MAX_ALLOWED = 64
const MAX_ENTRY = 300
const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/i
const PORT = /^[1-9]\d{0,4}$/

/** `invalid-argument` that names the entry. */
export function parseAllow(allow: readonly string[]): readonly AllowedTarget[] {
  if (allow.length > MAX_ALLOWED) {
    throw new CoveError('invalid-argument', `network.allow has more than ${MAX_ALLOWED} entries`, { field: FIELD })
  }
  return allow.map(parseAllowed)
}

export function parseAllowed(entry: string): AllowedTarget {
  if (entry.length > MAX_ENTRY) throw refused(`${entry.slice(0, 40)}…`, 'is too long')
  const { place, port } = split(entry)
  const slash = place.indexOf('/')
  const address = parseIp(slash < 0 ? place : place.slice(0, slash))
  if (address !== undefined) {
    const most = IP_BITS[address.family]
    const bits = slash < 0 ? most : Number(place.slice(slash + 1))
    if (slash >= 0 && (!/^\d{1,3}$/.test(place.slice(slash + 1)) || bits > most)) {
      throw refused(entry, `has a prefix that is not 0 to ${most}`)
    }
    const problem = unreachable(address, bits)
    if (problem !== undefined) throw refused(entry, problem)
    return { kind: 'addresses', network: networkOf(address, bits), bits, ...(port === undefined ? {} : { port }) }
  }
  const labels = place.replace(/\.$/, '').split('.')
  // What ends in a number is meant as an address, by everybody who resolves names.
  const named = place.length <= 253 && labels.every((label) => LABEL.test(label)) && !/^\d+$/.test(labels.at(-1) ?? '')
  if (!named) throw refused(entry, 'is neither an address, nor a network, nor a name')
  if (place.toLowerCase() === 'localhost') throw refused(entry, 'is the sandbox itself; write host:port for the host')
  if (port === undefined) throw refused(entry, 'has no port')
  return place.toLowerCase() === 'host' ? { kind: 'host', port } : { kind: 'name', name: place, port }
}

/** Why an address can never be reached from a sandbox, whatever is allowed. */
export function unreachable(address: IpAddress, bits: number): string | undefined {
  const inside = (text: string, length: number): boolean => {
    const other = parseIp(text)
    return other?.family === address.family && bits >= length && networkOf(address, length).value === other.value
  }
  if (inside('127.0.0.0', 8) || inside('::1', 128)) return 'is the sandbox itself; write host:port for the host'
  if (inside('224.0.0.0', 4) || inside('255.255.255.255', 32) || inside('ff00::', 8)) return 'is a multicast address'
  if (inside('0.0.0.0', 8) || inside('::', 128)) return 'is no address that can be reached'
  if (inside('::ffff:0:0', 96)) return 'is an IPv4 address in disguise; write it as IPv4'
  if (inside('fe80::', 10)) return 'is a link-local address'
  if (OWN.some(({ text, length }) => inside(text, length))) return 'is used inside of sandboxes'
  return undefined
}

/** Networks between a sandbox and what carries its traffic. */
const OWN = [
  { text: '198.19.255.0', length: 24 },
  { text: 'fd00::', length: 64 },
] as const

/** `10.1.0.0/16:80`, `fd12::1`, `[fd12::1]:80`, `[fd12::/32]:80`, `name:80`. */
function split(entry: string): { readonly place: string; readonly port?: number } {
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(entry)
  if (bracketed !== null) {
    const [, place = '', port] = bracketed
    if (!place.includes(':')) throw refused(entry, 'has brackets around something that is not IPv6')
    return port === undefined ? { place } : { place, port: parsePort(entry, port) }
  }
  const colon = entry.indexOf(':')
  if (colon < 0 || entry.includes(':', colon + 1)) return { place: entry }
  return { place: entry.slice(0, colon), port: parsePort(entry, entry.slice(colon + 1)) }
}

function parsePort(entry: string, text: string): number {
  const port = Number(text)
  if (!PORT.test(text) || port > 65_535) throw refused(entry, 'has a port that is not 1 to 65535')
  return port
}

const FIELD = 'network.allow'

function refused(entry: string, problem: string): CoveError {
  const fix =
    'Write an address, a network, each with :port or without, a name with :port, or host:port for the host itself.'
  return new CoveError(
    'invalid-argument',
    `network.allow: ${JSON.stringify(entry)} ${problem}`,
    { field: FIELD, entry },
    { fix },
  )
}

/** As it is written in `allow`, for people to read. */
export function describeNetwork(address: IpAddress, bits: number): string {
  return bits === IP_BITS[address.family] ? formatIp(address) : `${formatIp(address)}/${bits}`
}
