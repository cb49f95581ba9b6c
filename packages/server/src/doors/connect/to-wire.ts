import type { MessageInitShape } from '@bufbuild/protobuf'
import { timestampFromMs, type Duration } from '@bufbuild/protobuf/wkt'
import {
  EndReason,
  Exit_Kind,
  FileType,
  Isolation,
  Network_Kind,
  OnIdle,
  OutputStream,
  SandboxState,
  SnapshotKind,
  type DriverSchema,
  type ExitSchema,
  type FileInfoSchema,
  type GetSandboxStatsResponseSchema,
  type LimitsSchema,
  type NetworkSchema,
  type ProcessEventSchema,
  type ProcessSchema,
  type SandboxSchema,
  type TimeoutSchema,
} from '@cove/api'
import type * as domain from '@cove/domain'
import { wakesOnUse } from '../../sandboxes/sandboxes.ts'

const STATES: Readonly<Record<domain.SandboxState, SandboxState>> = {
  pending: SandboxState.PENDING,
  creating: SandboxState.CREATING,
  running: SandboxState.RUNNING,
  pausing: SandboxState.PAUSING,
  paused: SandboxState.PAUSED,
  resuming: SandboxState.RESUMING,
  stopping: SandboxState.STOPPING,
  stopped: SandboxState.STOPPED,
  lost: SandboxState.LOST,
  failed: SandboxState.FAILED,
  deleting: SandboxState.DELETING,
  deleted: SandboxState.DELETED,
}

const REASONS: Readonly<Record<domain.EndReason, EndReason>> = {
  deleted: EndReason.DELETED,
  idle: EndReason.IDLE,
  deadline: EndReason.DEADLINE,
  crashed: EndReason.CRASHED,
  'out-of-memory': EndReason.OUT_OF_MEMORY,
  'node-lost': EndReason.NODE_LOST,
  'create-failed': EndReason.CREATE_FAILED,
}

const ISOLATIONS: Readonly<Record<domain.Isolation, Isolation>> = {
  process: Isolation.PROCESS,
  namespace: Isolation.NAMESPACE,
  container: Isolation.CONTAINER,
  kernel: Isolation.KERNEL,
  microvm: Isolation.MICROVM,
  vm: Isolation.VM,
}

const FILE_TYPES: Readonly<Record<domain.FileType, FileType>> = {
  file: FileType.FILE,
  directory: FileType.DIRECTORY,
  symlink: FileType.SYMLINK,
  other: FileType.OTHER,
}

const OUTPUT_STREAMS: Readonly<Record<domain.OutputStream, OutputStream>> = {
  stdout: OutputStream.STDOUT,
  stderr: OutputStream.STDERR,
  terminal: OutputStream.TERMINAL,
}

export function toSandbox({ spec, status }: domain.Sandbox): MessageInitShape<typeof SandboxSchema> {
  return {
    id: spec.id,
    project: spec.project,
    name: spec.name ?? '',
    template: spec.template,
    state: STATES[status.state],
    incarnation: status.incarnation,
    driver: status.driver ?? '',
    isolation: status.isolation === undefined ? Isolation.UNSPECIFIED : ISOLATIONS[status.isolation],
    labels: { ...spec.labels },
    limits: status.limits.map(({ name, value, enforced, reason = '' }) => ({ name, value, enforced, reason })),
    network: toNetwork(spec.network),
    idleTimeout: toTimeout(spec.idleTimeout),
    lifetime: toTimeout(spec.lifetime),
    createdAt: timestampFromMs(spec.createdAt),
    changedAt: timestampFromMs(status.changedAt),
    ...(status.deadline === undefined ? {} : { deadline: timestampFromMs(status.deadline) }),
    endReason: status.reason === undefined ? EndReason.UNSPECIFIED : REASONS[status.reason],
    message: status.message ?? '',
    node: status.node ?? '',
    snapshot: spec.snapshot ?? '',
    volumes: spec.volumes.map(({ name, path, readOnly }) => ({ volume: name, path, readOnly })),
    pooled: status.pooled ?? false,
    pausedToDisk: status.state === 'paused' && status.pausedTo === 'disk',
    onIdle: spec.onIdle === 'pause' ? OnIdle.PAUSE : OnIdle.DELETE,
    autoResume: wakesOnUse(spec),
    restored: status.restored ?? false,
  }
}

const SNAPSHOT_KINDS = { filesystem: SnapshotKind.FILESYSTEM, memory: SnapshotKind.MEMORY } as const

export function toSnapshotKind(kind: 'filesystem' | 'memory'): SnapshotKind {
  return SNAPSHOT_KINDS[kind]
}

export function toStats(stats: domain.MachineStats): MessageInitShape<typeof GetSandboxStatsResponseSchema> {
  const { memoryBytes, cpuMs, processes, diskBytes } = stats
  return {
    ...(memoryBytes === undefined ? {} : { memoryBytes: BigInt(Math.round(memoryBytes)) }),
    ...(cpuMs === undefined ? {} : { cpuTime: toDuration(cpuMs) }),
    ...(processes === undefined ? {} : { processes }),
    ...(diskBytes === undefined ? {} : { diskBytes: BigInt(Math.round(diskBytes)) }),
  }
}

export function toLimits(limits: domain.Limits): MessageInitShape<typeof LimitsSchema> {
  const { memoryBytes, cpus, processes, diskBytes } = limits
  return {
    ...(memoryBytes === undefined ? {} : { memoryBytes: BigInt(memoryBytes.value) }),
    ...(cpus === undefined ? {} : { cpus: cpus.value }),
    ...(processes === undefined ? {} : { processes: processes.value }),
    ...(diskBytes === undefined ? {} : { diskBytes: BigInt(diskBytes.value) }),
  }
}

export function toNetwork(network: domain.Network): MessageInitShape<typeof NetworkSchema> {
  return network.kind === 'none'
    ? { kind: Network_Kind.NONE }
    : { kind: Network_Kind.INTERNET, allow: [...network.allow] }
}

function toTimeout(timeout: domain.Timeout): MessageInitShape<typeof TimeoutSchema> {
  if (timeout === 'never') return { value: { case: 'never', value: true } }
  return { value: { case: 'after', value: toDuration(timeout) } }
}

function toDuration(ms: number): Pick<Duration, 'seconds' | 'nanos'> {
  return { seconds: BigInt(Math.floor(ms / 1000)), nanos: Math.round((ms % 1000) * 1_000_000) }
}

export function toProcess(info: domain.ProcessInfo): MessageInitShape<typeof ProcessSchema> {
  return {
    id: info.id,
    pid: info.pid,
    argv: [...info.argv],
    cwd: info.cwd,
    user: info.user,
    terminal: info.terminal,
    startedAt: timestampFromMs(info.startedAt),
    outputFrom: BigInt(info.outputFrom),
    outputTo: BigInt(info.outputTo),
    ...(info.exit === undefined ? {} : { exit: toExit(info.exit) }),
    timedOut: info.timedOut,
  }
}

function toExit(exit: domain.Exit): MessageInitShape<typeof ExitSchema> {
  switch (exit.kind) {
    case 'exited':
      return { kind: Exit_Kind.EXITED, code: exit.code }
    case 'signaled':
      return { kind: Exit_Kind.SIGNALED, signal: exit.signal }
    case 'out-of-memory':
      return { kind: Exit_Kind.OUT_OF_MEMORY }
    case 'lost':
      return { kind: Exit_Kind.LOST }
  }
}

export function toProcessEvent(event: domain.ProcessEvent): MessageInitShape<typeof ProcessEventSchema> {
  switch (event.type) {
    case 'output': {
      const { stream, offset, data } = event
      const value = { stream: OUTPUT_STREAMS[stream], offset: BigInt(offset), data: data as Uint8Array<ArrayBuffer> }
      return { event: { case: 'output', value } }
    }
    case 'gap':
      return { event: { case: 'gap', value: { from: BigInt(event.from), to: BigInt(event.to) } } }
    case 'exit':
      return { event: { case: 'ended', value: { exit: toExit(event.exit), timedOut: event.timedOut } } }
  }
}

export function toFileInfo(info: domain.FileInfo): MessageInitShape<typeof FileInfoSchema> {
  return {
    name: info.name,
    path: info.path,
    ...(info.rawPath === undefined ? {} : { rawPath: new Uint8Array(info.rawPath) }),
    type: FILE_TYPES[info.type],
    size: BigInt(info.size),
    mode: info.mode,
    uid: info.uid,
    gid: info.gid,
    modifiedAt: timestampFromMs(info.modifiedAt),
    symlinkTarget: info.symlinkTarget ?? '',
  }
}

export function toDriver(report: domain.DriverReport): MessageInitShape<typeof DriverSchema> {
  const { name, fingerprint, chosen } = report
  const isolation = ISOLATIONS[report.isolation]
  if (!fingerprint.proven) {
    return { name, isolation, chosen, proven: false, reason: fingerprint.reason, fix: fingerprint.fix }
  }
  const { native, details, enforces } = fingerprint
  return { name, isolation, chosen, proven: true, native, details: { ...details }, enforces: [...enforces] }
}
