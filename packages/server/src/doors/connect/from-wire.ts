import type { Duration } from '@bufbuild/protobuf/wkt'
import {
  Isolation,
  Network_Kind,
  OnIdle,
  SandboxState,
  SnapshotKind,
  type Command,
  type CreateSandboxRequest,
  type Limits as WireLimits,
  type Network as WireNetwork,
  type SandboxFilter,
  type TerminalSize as WireSize,
  type Timeout as WireTimeout,
} from '@cove/api'
import {
  CoveError,
  newProcessId,
  parseProcessId,
  type Isolation as DomainIsolation,
  type Limits,
  type Network,
  type ProcessId,
  type Random,
  type SandboxState as DomainState,
  type StartProcess,
  type TerminalSize,
  type Timeout,
} from '@cove/domain'
import type { Filter } from '../../sandboxes/query.ts'
import { bad, checkEnv, type CreateRequest } from '../../sandboxes/request.ts'

const ISOLATIONS: ReadonlyMap<Isolation, DomainIsolation> = new Map([
  [Isolation.PROCESS, 'process'],
  [Isolation.NAMESPACE, 'namespace'],
  [Isolation.CONTAINER, 'container'],
  [Isolation.KERNEL, 'kernel'],
  [Isolation.MICROVM, 'microvm'],
  [Isolation.VM, 'vm'],
])

const STATES: ReadonlyMap<SandboxState, DomainState> = new Map([
  [SandboxState.PENDING, 'pending'],
  [SandboxState.CREATING, 'creating'],
  [SandboxState.RUNNING, 'running'],
  [SandboxState.PAUSING, 'pausing'],
  [SandboxState.PAUSED, 'paused'],
  [SandboxState.RESUMING, 'resuming'],
  [SandboxState.STOPPING, 'stopping'],
  [SandboxState.STOPPED, 'stopped'],
  [SandboxState.LOST, 'lost'],
  [SandboxState.FAILED, 'failed'],
  [SandboxState.DELETING, 'deleting'],
  [SandboxState.DELETED, 'deleted'],
])

export function parseCreate(request: CreateSandboxRequest): CreateRequest {
  const { template, name, driver, env, labels, idempotencyKey } = request
  const isolation = parseIsolation(request.isolation)
  const idleTimeout = parseTimeout(request.idleTimeout, 'idleTimeout')
  const lifetime = parseTimeout(request.lifetime, 'lifetime')
  return {
    ...(template === '' ? {} : { template }),
    ...(name === '' ? {} : { name }),
    ...(isolation === undefined ? {} : { isolation }),
    ...(driver === '' ? {} : { driver }),
    limits: parseLimits(request.limits),
    network: parseNetwork(request.network),
    env,
    labels,
    ...(idleTimeout === undefined ? {} : { idleTimeout }),
    ...(lifetime === undefined ? {} : { lifetime }),
    ...parseOnIdle(request.onIdle),
    ...(request.autoResume === undefined ? {} : { autoResume: request.autoResume }),
    ...(idempotencyKey === '' ? {} : { idempotencyKey }),
    ...(request.snapshot === '' ? {} : { snapshot: request.snapshot }),
    ...(request.volumes.length === 0
      ? {}
      : { volumes: request.volumes.map(({ volume, path, readOnly }) => ({ volume, path, readOnly })) }),
  }
}

function parseOnIdle(onIdle: OnIdle): Pick<CreateRequest, 'onIdle'> {
  switch (onIdle) {
    case OnIdle.UNSPECIFIED:
      return {}
    case OnIdle.DELETE:
      return { onIdle: 'delete' }
    case OnIdle.PAUSE:
      return { onIdle: 'pause' }
    default:
      throw bad('onIdle', `has the unknown value ${String(onIdle)}`)
  }
}

function parseIsolation(isolation: Isolation): DomainIsolation | undefined {
  if (isolation === Isolation.UNSPECIFIED) return undefined
  const known = ISOLATIONS.get(isolation)
  if (known === undefined) throw bad('isolation', `has the unknown value ${isolation}`)
  return known
}

/** Whatever a client names is required. */
export function parseLimits(limits: WireLimits | undefined): Limits {
  if (limits === undefined) return {}
  const { memoryBytes, cpus, processes, diskBytes } = limits
  return {
    ...(memoryBytes === undefined ? {} : { memoryBytes: { value: Number(memoryBytes), required: true } }),
    ...(cpus === undefined ? {} : { cpus: { value: cpus, required: true } }),
    ...(processes === undefined ? {} : { processes: { value: processes, required: true } }),
    ...(diskBytes === undefined ? {} : { diskBytes: { value: Number(diskBytes), required: true } }),
  }
}

export function parseNetwork(network: WireNetwork | undefined): Network {
  if (network === undefined) return { kind: 'none' }
  switch (network.kind) {
    case Network_Kind.UNSPECIFIED:
    case Network_Kind.NONE:
      if (network.allow.length > 0) throw bad('network.allow', 'is only meaningful with kind INTERNET')
      return { kind: 'none' }
    case Network_Kind.INTERNET:
      if (network.allow.length > 256) throw bad('network.allow', 'has more than 256 entries')
      return { kind: 'internet', allow: network.allow }
    default:
      throw bad('network.kind', `has the unknown value ${network.kind}`)
  }
}

export function parseKind(kind: SnapshotKind): { kind?: 'filesystem' | 'memory' } {
  switch (kind) {
    case SnapshotKind.UNSPECIFIED:
      return {}
    case SnapshotKind.FILESYSTEM:
      return { kind: 'filesystem' }
    case SnapshotKind.MEMORY:
      return { kind: 'memory' }
    default:
      throw bad('kind', `has the unknown value ${kind}`)
  }
}

export function parseTimeout(timeout: WireTimeout | undefined, field: string): Timeout | undefined {
  switch (timeout?.value.case) {
    case 'never':
      if (!timeout.value.value) throw bad(`${field}.never`, 'must be true, or be left out')
      return 'never'
    case 'after': {
      const ms = parseDuration(timeout.value.value)
      if (ms < 1) throw bad(`${field}.after`, 'must be at least 1 ms; use never for no end')
      return ms
    }
    default:
      return undefined
  }
}

/** Milliseconds, rounded up; may be negative. */
function parseDuration({ seconds, nanos }: Duration): number {
  return Number(seconds) * 1000 + Math.ceil(nanos / 1_000_000)
}

/** Longest time that a guest's clock and Node's timers both take. */
const LONGEST_MS = 2 ** 31 - 1

/** Milliseconds; negative ones and those over 24 days are refused, naming the field. */
export function parseMilliseconds(duration: Duration | undefined, field: string): number | undefined {
  const ms = parseExpiry(duration, field)
  if (ms !== undefined && ms > LONGEST_MS) throw bad(field, 'must be at most 24 days')
  return ms
}

/** Milliseconds until a moment that is kept and for which nobody waits; negative ones are refused. */
export function parseExpiry(duration: Duration | undefined, field: string): number | undefined {
  if (duration === undefined) return undefined
  const ms = parseDuration(duration)
  if (ms < 0) throw bad(field, 'must not be negative')
  return ms
}

export function parseFilter(filter: SandboxFilter | undefined): Filter {
  if (filter === undefined) return { states: [], labels: {}, includeDeleted: false }
  const states = filter.states.map((state) => {
    const known = STATES.get(state)
    if (known === undefined) throw bad('filter.states', `has the unknown value ${state}`)
    return known
  })
  return {
    states,
    labels: filter.labels,
    ...(filter.template === '' ? {} : { template: filter.template }),
    ...(filter.name === '' ? {} : { name: filter.name }),
    includeDeleted: filter.includeDeleted,
  }
}

/** Bounds that the guest has too; here the message names the field. */
const ARGV_BYTES = 1024 * 1024
const PATH_BYTES = 4_095

export function parseCommand(command: Command | undefined, random: Random): StartProcess {
  if (command === undefined) throw bad('command', 'is missing')
  const { argv, env, cwd, user, stdin, processId } = command
  if (argv.length === 0 || argv[0] === '') throw bad('command.argv', 'must name a program')
  let bytes = 0
  for (const argument of argv) {
    if (argument.includes('\0')) throw bad('command.argv', 'must not contain NUL')
    bytes += Buffer.byteLength(argument) + 1
  }
  if (bytes > ARGV_BYTES) throw bad('command.argv', 'is larger than 1 MiB')
  checkEnv(env, 'command.env')
  if (cwd !== '') checkPath(cwd, 'command.cwd')
  const timeoutMs = parseMilliseconds(command.timeout, 'command.timeout')
  const graceMs = parseMilliseconds(command.grace, 'command.grace')
  return {
    id: processId === '' ? newProcessId(random) : parseProcessId(processId),
    argv,
    env,
    ...(cwd === '' ? {} : { cwd }),
    ...(user === '' ? {} : { user: checkUser(user) }),
    ...(command.terminal === undefined ? {} : { terminal: parseSize(command.terminal, 'command.terminal') }),
    stdin,
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(graceMs === undefined ? {} : { graceMs }),
  }
}

export function parseSize(size: WireSize | undefined, field: string): TerminalSize {
  const { rows = 0, columns = 0 } = size ?? {}
  if (rows < 1 || rows > 65_535) throw bad(`${field}.rows`, 'must be 1 to 65,535')
  if (columns < 1 || columns > 65_535) throw bad(`${field}.columns`, 'must be 1 to 65,535')
  return { rows, columns }
}

export function parseProcess(id: string): ProcessId {
  if (id === '') throw bad('processId', 'is missing')
  return parseProcessId(id)
}

export function checkPath(path: string, field = 'path'): string {
  const problem = pathProblem(path)
  if (problem !== undefined) throw new CoveError('path-invalid', `${field} ${problem}`, { field })
  return path
}

function pathProblem(path: string): string | undefined {
  if (path === '') return 'is missing'
  if (path.includes('\0')) return 'must not contain NUL'
  if (!path.startsWith('/')) return 'must be absolute'
  if (Buffer.byteLength(path) > PATH_BYTES) return `is longer than ${PATH_BYTES} bytes`
  if (path.split('/').some((name) => Buffer.byteLength(name) > 255)) return 'has a name over 255 bytes'
  return undefined
}

function checkUser(user: string): string {
  if (!/^[A-Za-z_][A-Za-z0-9_.-]{0,31}$/.test(user)) throw bad('user', 'is not a user name')
  return user
}

export function userOption(user: string): { user?: string } {
  return user === '' ? {} : { user: checkUser(user) }
}

export function checkMode(mode: number): number {
  if (!Number.isInteger(mode) || mode < 0 || mode > 0o7777) throw bad('mode', 'must be permission bits, 0 to 07777')
  return mode
}

export function checkRef(ref: string, field = 'sandbox'): string {
  if (ref === '') throw bad(field, 'is missing')
  return ref
}
