import { CoveError, type Exit, type Sandbox } from '@cove/domain'

/** How package managers say that they reached nothing. */
const UNREACHABLE =
  /name resolution|name or service not known|could not resolve|failed to establish a new connection|network is unreachable|EAI_AGAIN|ENOTFOUND|ENETUNREACH|ECONNREFUSED|connection refused|connection timed out|temporary error/i

/** A sandbox without a network need not wait for answers that cannot come. */
export function hasNoNetwork({ spec }: Sandbox): boolean {
  return spec.network.kind === 'none'
}

/** Throws `network-unavailable` when an installation that said this failed for want of a network. */
export function explainOffline(sandbox: Sandbox, exit: Exit, said: string): void {
  if (!hasNoNetwork(sandbox) || (exit.kind === 'exited' && exit.code === 0) || !UNREACHABLE.test(said)) return
  const { id } = sandbox.spec
  throw new CoveError(
    'network-unavailable',
    `sandbox ${id} has no network, so its package manager cannot reach a registry`,
    { sandbox: id, network: 'none' },
    {
      fix: 'Create the sandbox with network `internet`, or give it the address of a registry inside it (PIP_INDEX_URL, NPM_CONFIG_REGISTRY).',
    },
  )
}
