import {
  EndReason as WireReason,
  Isolation as WireIsolation,
  Network_Kind,
  OnIdle,
  SandboxState as WireState,
} from '@cove/api'
import type { LimitReport as WireLimit, Network as WireNetwork, Sandbox as WireSandbox } from '@cove/api'
import {
  END_REASONS,
  ISOLATIONS,
  LIMIT_NAMES,
  SANDBOX_STATES,
  type EndReason,
  type Isolation,
  type LimitName,
  type LimitReport,
  type Network,
  type SandboxState,
} from '@cove/domain'
import type { SandboxInfo } from '../sandbox-info.ts'
import type { ListFilter } from '../sandbox-options.ts'
import { dateOf, timeoutOf } from './time.ts'

/** The protocol's numbers and the domain's words, in the same order; `unspecified` is 0. */
const STATE_NUMBERS: Readonly<Record<SandboxState, WireState>> = {
  pending: WireState.PENDING,
  creating: WireState.CREATING,
  running: WireState.RUNNING,
  pausing: WireState.PAUSING,
  paused: WireState.PAUSED,
  resuming: WireState.RESUMING,
  stopping: WireState.STOPPING,
  stopped: WireState.STOPPED,
  lost: WireState.LOST,
  failed: WireState.FAILED,
  deleting: WireState.DELETING,
  deleted: WireState.DELETED,
}

const ISOLATION_NUMBERS: Readonly<Record<Isolation, WireIsolation>> = {
  process: WireIsolation.PROCESS,
  namespace: WireIsolation.NAMESPACE,
  container: WireIsolation.CONTAINER,
  kernel: WireIsolation.KERNEL,
  microvm: WireIsolation.MICROVM,
  vm: WireIsolation.VM,
}

const REASON_NUMBERS: Readonly<Record<EndReason, WireReason>> = {
  deleted: WireReason.DELETED,
  idle: WireReason.IDLE,
  deadline: WireReason.DEADLINE,
  crashed: WireReason.CRASHED,
  'out-of-memory': WireReason.OUT_OF_MEMORY,
  'node-lost': WireReason.NODE_LOST,
  'create-failed': WireReason.CREATE_FAILED,
}

const stateNumber = (state: SandboxState): WireState => STATE_NUMBERS[state]
export const isolationNumber = (isolation: Isolation): WireIsolation => ISOLATION_NUMBERS[isolation]

export function isolationOf(number: number): Isolation | undefined {
  return ISOLATIONS.find((isolation) => ISOLATION_NUMBERS[isolation] === number)
}

export function networkInit(network: 'none' | 'internet' | Network) {
  const { kind, allow } =
    typeof network === 'string'
      ? { kind: network, allow: [] }
      : { kind: network.kind, allow: network.kind === 'internet' ? [...network.allow] : [] }
  return { kind: kind === 'none' ? Network_Kind.NONE : Network_Kind.INTERNET, allow }
}

export function filterInit(filter: ListFilter) {
  return {
    states: (filter.states ?? []).map(stateNumber),
    labels: { ...filter.labels },
    template: filter.template ?? '',
    name: filter.name ?? '',
    includeDeleted: filter.includeDeleted ?? false,
  }
}

/** A state that this client is too old to know is shown as `pending`: nothing may be done with it. */
export function sandboxInfo(wire: WireSandbox): SandboxInfo {
  const isolation = isolationOf(wire.isolation)
  const endReason = END_REASONS.find((reason) => REASON_NUMBERS[reason] === wire.endReason)
  return {
    id: wire.id,
    project: wire.project,
    ...(wire.name === '' ? {} : { name: wire.name }),
    template: wire.template,
    ...(wire.snapshot === '' ? {} : { snapshot: wire.snapshot }),
    volumes: wire.volumes.map(({ volume, path, readOnly }) => ({ volume, path, readOnly })),
    pooled: wire.pooled,
    pausedToDisk: wire.pausedToDisk,
    restored: wire.restored,
    onIdle: wire.onIdle === OnIdle.PAUSE ? 'pause' : 'delete',
    autoResume: wire.autoResume,
    state: SANDBOX_STATES.find((state) => STATE_NUMBERS[state] === wire.state) ?? 'pending',
    incarnation: wire.incarnation,
    ...(wire.driver === '' ? {} : { driver: wire.driver }),
    ...(isolation === undefined ? {} : { isolation }),
    ...(wire.node === '' ? {} : { node: wire.node }),
    labels: { ...wire.labels },
    limits: wire.limits.flatMap(limitReport),
    network: networkOf(wire.network),
    idleTimeout: timeoutOf(wire.idleTimeout),
    lifetime: timeoutOf(wire.lifetime),
    createdAt: wire.createdAt === undefined ? new Date(0) : dateOf(wire.createdAt),
    changedAt: wire.changedAt === undefined ? new Date(0) : dateOf(wire.changedAt),
    ...(wire.deadline === undefined ? {} : { deadline: dateOf(wire.deadline) }),
    ...(endReason === undefined ? {} : { endReason }),
    ...(wire.message === '' ? {} : { message: wire.message }),
  }
}

export function networkOf(wire: WireNetwork | undefined): Network {
  return wire?.kind === Network_Kind.INTERNET ? { kind: 'internet', allow: [...wire.allow] } : { kind: 'none' }
}

function limitReport(wire: WireLimit): LimitReport[] {
  if (!isLimitName(wire.name)) return []
  const { name, value, enforced, reason } = wire
  return [{ name, value, enforced, ...(reason === '' ? {} : { reason }) }]
}

function isLimitName(text: string): text is LimitName {
  return (LIMIT_NAMES as readonly string[]).includes(text)
}
