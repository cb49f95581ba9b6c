import { lookup } from 'node:dns'
import type { LookupFunction } from 'node:net'
import { CoveError, networkOf, parseIp, type IpAddress } from '@cove/domain'

/** Networks that are not the public internet: where a stranger's redirect must never lead. */
const PRIVATE = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['224.0.0.0', 3],
  ['::', 127],
  ['64:ff9b:1::', 48],
  ['100::', 64],
  ['fc00::', 7],
  ['fe80::', 10],
  ['fec0::', 10],
  ['ff00::', 8],
] as const

/** IPv4 addresses in disguise: the bits before them, and the bits behind. */
const EMBEDDED = [
  { prefix: '::', length: 96, behind: 0n },
  { prefix: '::ffff:0:0', length: 96, behind: 0n },
  { prefix: '64:ff9b::', length: 96, behind: 0n },
  { prefix: '2002::', length: 16, behind: 80n },
] as const

/** Whether an address is loopback, link-local, private, multicast or otherwise not of the public internet. */
export function isPrivateAddress(text: string): boolean {
  const address = parseIp(text.split('%')[0] ?? '')
  return address === undefined || isPrivate(address)
}

function isPrivate(address: IpAddress): boolean {
  if (PRIVATE.some(([prefix, length]) => inside(address, prefix, length))) return true
  return EMBEDDED.some(({ prefix, length, behind }) => {
    if (!inside(address, prefix, length)) return false
    return isPrivate({ family: 4, value: (address.value >> behind) & 0xffff_ffffn })
  })
}

function inside(address: IpAddress, prefix: string, length: number): boolean {
  const network = parseIp(prefix)
  return network?.family === address.family && networkOf(address, length).value === network.value
}

/** Whether a host, as it stands in a reference or URL, is this machine. */
export function isLoopbackHost(host: string): boolean {
  const name = host.replace(/^\[(.*)\]$/, '$1').toLowerCase()
  if (name === 'localhost' || name.endsWith('.localhost')) return true
  const address = parseIp(name)
  return address !== undefined && (inside(address, '127.0.0.0', 8) || inside(address, '::1', 128))
}

/** The address in a URL's host, when it is one and not a name. */
export function addressOf(url: URL): string | undefined {
  const name = url.hostname.replace(/^\[(.*)\]$/, '$1')
  return parseIp(name) === undefined ? undefined : name
}

export function forbidden(host: string): CoveError {
  return new CoveError(
    'image-invalid',
    `the registry sends to ${JSON.stringify(host.slice(0, 200))}, which is an address of this machine or its network`,
    {},
    { fix: 'Do not use this registry, or name it by its own private address when it is one of yours.' },
  )
}

/** Resolves names as usual, and refuses those that lead, all or in part, to private addresses. */
export const publicLookup: LookupFunction = (host, options, callback) => {
  lookup(host, { ...options, all: true }, (error, found) => {
    if (error !== null) return callback(error, '')
    if (found.some(({ address }) => isPrivateAddress(address))) return callback(forbidden(host), '')
    if (options.all === true) return callback(null, found)
    callback(null, found[0]?.address ?? '', found[0]?.family ?? 4)
  })
}
