import type { NetworkSupport } from '@cove/network'
import type { Prepared } from './prepare.ts'

export const NOT_INSTALLED = 'bubblewrap is not installed'
export const INSTALL = "Install it with the system's package manager, for example `apt-get install bubblewrap`."

/** What is worth knowing of this host, for people. */
export function describeHost(prepared: Prepared, network: NetworkSupport): Readonly<Record<string, string>> {
  const { version, ids, hierarchies } = prepared
  return {
    version,
    users: ids === 'range' ? 'root, user' : 'user',
    network: network.available ? `internet (${network.tools})` : `none only: ${network.reason}; fix: ${network.fix}`,
    cgroups: Object.entries(hierarchies.controllers)
      .map(([name, place]) => `${name} ${'missing' in place ? 'none' : `v${place.version}`}`)
      .join(', '),
  }
}

/** What to do where no machine runs. */
export function runningFix(ids: Prepared['ids']): string {
  return ids === 'self' ? SELF_FIX : RANGE_FIX
}

const RANGE_FIX =
  'Needs Linux 5.19 or later with overlayfs, user namespaces and full root; `bwrap --unshare-all --ro-bind / / true` says what the kernel refuses.'
const SELF_FIX =
  'Allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0, user.max_user_namespaces above 0), or run Cove as root.'
