import type { GuestIdentity, SandboxSpec } from '@cove/domain'
import type { Ground } from './ground.ts'
import type { NodeParts } from './node-parts.ts'

const DNS_LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/

/** What a sandbox is called inside: its name, where that can be one, else its id. */
export const hostnameOf = (spec: SandboxSpec): string =>
  spec.name !== undefined && DNS_LABEL.test(spec.name) ? spec.name : spec.id

/** Who a guest is told that it is. What the sandbox was created with wins over what its image says. */
export function identityOf(
  { random, clock }: Pick<NodeParts, 'random' | 'clock'>,
  spec: SandboxSpec,
  defaults: Ground['defaults'],
): GuestIdentity {
  const user = spec.user ?? defaults.user
  const workdir = spec.workdir ?? defaults.workdir
  return {
    hostname: hostnameOf(spec),
    env: { ...defaults.env, ...spec.env },
    ...(user === undefined ? {} : { user }),
    ...(workdir === undefined ? {} : { workdir }),
    entropy: random.bytes(32),
    clock: clock.now(),
  }
}
