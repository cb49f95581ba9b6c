import { readFile } from 'node:fs/promises'
import { parseIp } from '@cove/domain'
import { INSIDE } from './ranges.ts'

/** Content by name of what the machine's `/etc` gets. */
export type EtcFiles = Readonly<Record<string, string>>

/** The name that the host has inside, where a port of its loopback is allowed. */
export const HOST_NAME = 'host.cove.internal'

const LOOPBACK = `127.0.0.1 localhost
::1 localhost ip6-localhost ip6-loopback
`

export async function etcFiles(network: {
  readonly inet6: boolean
  /** Lines of names that were looked up. */
  readonly hosts: readonly string[]
  readonly hostLoopback: boolean
}): Promise<EtcFiles> {
  const reachable = network.hosts.filter((line) => network.inet6 || !line.split(' ')[0]?.includes(':'))
  const lines = [
    ...(reachable.length === 0 ? network.hosts : reachable),
    ...(network.hostLoopback ? [`${INSIDE.host4} ${HOST_NAME}`] : []),
  ]
  const resolver = (await resolvesBy6Only(network.inet6)) ? INSIDE.resolver6 : INSIDE.resolver4
  return {
    'resolv.conf': `nameserver ${resolver}\n`,
    ...(lines.length === 0 ? {} : { hosts: `${LOOPBACK}${lines.join('\n')}\n` }),
  }
}

/** The way to the host's resolver is of the same family as the resolver. */
async function resolvesBy6Only(inet6: boolean): Promise<boolean> {
  if (!inet6) return false
  const text = await readFile('/etc/resolv.conf', 'utf8').catch(() => '')
  const servers = [...text.matchAll(/^\s*nameserver\s+(\S+)/gm)].map(([, address = '']) => parseIp(address)?.family)
  return servers.includes(6) && !servers.includes(4)
}
