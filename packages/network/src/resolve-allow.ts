import { lookup } from 'node:dns/promises'
import { CoveError, formatIp, IP_BITS, parseAllow, parseIp, unreachable } from '@cove/domain'
import type { Exception } from './rules.ts'

export interface ResolvedAllow {
  readonly exceptions: readonly Exception[]
  /** Names and what they stand for from now on, a line of `/etc/hosts` each. */
  readonly hosts: readonly string[]
}

/** All addresses of a name, as this host resolves it. */
export type Lookup = (name: string) => Promise<readonly string[]>

const LOOKUP_MS = 5_000
/** Addresses of one name; a name with more is no address of one service. */
const MAX_ADDRESSES = 16

const systemLookup: Lookup = async (name) => {
  const found = await lookup(name, { all: true, order: 'ipv4first' })
  return found.map(({ address }) => address)
}

/**
 * Looks the names in `allow` up, all at once, at most 5 s. `invalid-argument` for entries that cannot be understood,
 * `network-unavailable` for names that do not resolve or lead nowhere.
 */
export async function resolveAllow(
  allow: readonly string[],
  signal: AbortSignal,
  look: Lookup = systemLookup,
): Promise<ResolvedAllow> {
  const exceptions: Exception[] = []
  const hosts: string[] = []
  const targets = parseAllow(allow)
  const names = [...new Set(targets.flatMap((target) => (target.kind === 'name' ? [target.name] : [])))]
  const addresses = new Map(
    await Promise.all(names.map(async (name) => [name, await resolve(name, signal, look)] as const)),
  )
  for (const name of names) hosts.push(...(addresses.get(name) ?? []).map((address) => `${address} ${name}`))
  for (const target of targets) {
    if (target.kind !== 'name') {
      exceptions.push(target)
      continue
    }
    for (const text of addresses.get(target.name) ?? []) {
      const network = parseIp(text)
      if (network === undefined) continue
      exceptions.push({ kind: 'addresses', network, bits: IP_BITS[network.family], port: target.port })
    }
  }
  return { exceptions, hosts }
}

async function resolve(name: string, signal: AbortSignal, look: Lookup): Promise<readonly string[]> {
  const refused = (problem: string, cause?: unknown) =>
    new CoveError(
      'network-unavailable',
      `network.allow: ${name} ${problem}`,
      { field: 'network.allow', name },
      {
        fix: 'Correct the name, or write the address.',
        ...(cause === undefined ? {} : { cause }),
      },
    )
  const found = await unlessAborted(look(name), AbortSignal.any([signal, AbortSignal.timeout(LOOKUP_MS)])).catch(
    (error: unknown) => {
      if (signal.aborted) throw CoveError.from(signal.reason, 'cancelled')
      throw refused('does not resolve', error)
    },
  )
  const addresses: string[] = []
  for (const text of found.slice(0, MAX_ADDRESSES)) {
    const address = parseIp(text)
    if (address === undefined) continue
    const problem = unreachable(address, IP_BITS[address.family])
    if (problem !== undefined) throw refused(`is ${text}, which ${problem}`)
    addresses.push(address.family === 4 ? formatIp(address) : text)
  }
  if (addresses.length === 0) throw refused('does not resolve')
  return addresses
}

function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const abort = () => reject(CoveError.from(signal.reason, 'cancelled'))
  signal.addEventListener('abort', abort, { once: true })
  if (signal.aborted) abort()
  return Promise.race([promise, aborted]).finally(() => signal.removeEventListener('abort', abort))
}
