import type { NetworkSupport } from '@cove/network'
import type { Prepared } from './prepare.ts'

/** What is worth knowing of this host, for people. */
export function describeHost(prepared: Prepared, network: NetworkSupport): Readonly<Record<string, string>> {
  const { tool, ids, hierarchies } = prepared
  return {
    version: tool.version,
    users: ids === 'range' ? 'root, user' : 'user',
    network: network.available ? `internet (${network.tools})` : `none only: ${network.reason}; fix: ${network.fix}`,
    cgroups: Object.entries(hierarchies.controllers)
      .map(([name, place]) => `${name} ${'missing' in place ? 'none' : `v${place.version}`}`)
      .join(', '),
  }
}
