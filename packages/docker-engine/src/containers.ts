import { toList, toNumber, toObject, toText, toTexts, toVariables, type JsonObject } from './json.ts'

/** What a container is made from. Nothing of the host is shown to it that is not named here. */
export interface ContainerSpec {
  /** 2 or more of letters, digits, `_`, `.` and `-`. Default: made by the engine. */
  readonly name?: string
  readonly image: string
  readonly entrypoint?: readonly string[]
  readonly command?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly labels?: Readonly<Record<string, string>>
  readonly workingDirectory?: string
  readonly user?: string
  readonly hostname?: string
  /** With a terminal: then output is one stream and has no frames. */
  readonly terminal?: boolean
  /**
   * Keeps stdin open for `attach`: it ends with the first attachment (`true`, `once`), or not while the container lives
   * (`always`).
   */
  readonly stdin?: boolean | 'once' | 'always'
  readonly mounts?: readonly MountPoint[]
  readonly ports?: readonly PortBinding[]
  /** `none`, `bridge`, `host`, `container:<id>` or the name of a network. Default: the engine's. */
  readonly network?: string
  readonly extraHosts?: readonly string[]
  /** Runs the engine's small init as PID 1, which reaps. */
  readonly init?: boolean
  readonly memoryBytes?: number
  readonly cpus?: number
  readonly processes?: number
  readonly readOnlyRoot?: boolean
  readonly dropCapabilities?: readonly string[]
  readonly addCapabilities?: readonly string[]
  readonly securityOptions?: readonly string[]
  /** Removed by the engine when it ends. */
  readonly removeAtEnd?: boolean
  /** OCI runtime by its name in the engine's configuration. */
  readonly runtime?: string
  /** File systems in memory: where, and the options of their mount. */
  readonly tmpfs?: Readonly<Record<string, string>>
  readonly shmBytes?: number
  readonly ulimits?: readonly { readonly name: string; readonly soft: number; readonly hard: number }[]
  /** What keeps its output. `none`: nothing does. Default: the engine's. */
  readonly logDriver?: string
  /** `private` hides the groups of the engine's host. */
  readonly cgroupNamespace?: 'private' | 'host'
  /** What `stopContainer` sends first. Default: what the image says, else TERM. */
  readonly stopSignal?: string
  /** Leaves out the checks of health that the image asks for. */
  readonly withoutHealthCheck?: boolean
}

/** What can be changed of a container; what is absent stays. */
export interface ContainerChange {
  readonly memoryBytes?: number
  readonly cpus?: number
  readonly processes?: number
}

export type MountPoint =
  | { readonly kind: 'bind'; readonly source: string; readonly target: string; readonly readOnly: boolean }
  | {
      readonly kind: 'volume'
      readonly source: string
      readonly target: string
      readonly readOnly: boolean
      /** A new volume begins empty, instead of with what the image has there. */
      readonly empty?: boolean
    }
  | { readonly kind: 'tmpfs'; readonly target: string; readonly sizeBytes?: number }

/** Loopback unless another address is named. */
export interface PortBinding {
  readonly container: number
  readonly protocol?: 'tcp' | 'udp'
  /** 0 takes a free one. */
  readonly host: number
  readonly address?: string
}

export interface Created {
  readonly id: string
  readonly warnings: readonly string[]
}

export type ContainerState = 'created' | 'running' | 'paused' | 'restarting' | 'removing' | 'exited' | 'dead'

export interface ContainerSummary {
  readonly id: string
  /** Without the leading slash. */
  readonly names: readonly string[]
  readonly image: string
  readonly labels: Readonly<Record<string, string>>
  readonly state: ContainerState
  /** Unix milliseconds. */
  readonly createdAt: number
}

export interface Container {
  readonly id: string
  readonly name: string
  /** Id of the image it was made from. */
  readonly image: string
  readonly labels: Readonly<Record<string, string>>
  readonly state: ContainerState
  /** On the engine's host; 0 unless it runs. */
  readonly pid: number
  readonly exitCode: number
  readonly outOfMemory: boolean
  /** Of its first process: what every further one has too. */
  readonly env: Readonly<Record<string, string>>
  readonly workingDirectory: string
  /** With a terminal its logs have one stream and no frames. */
  readonly terminal: boolean
  /** 0 without a limit, as the two that follow. */
  readonly memoryBytes: number
  readonly cpus: number
  readonly processes: number
  /** As the engine tells it; another text for every start. */
  readonly startedAt: string
  /** As the engine tells it; empty when all is well. */
  readonly error: string
  readonly ports: readonly {
    readonly container: number
    readonly protocol: string
    readonly address: string
    readonly host: number
  }[]
}

const NANO = 1_000_000_000

export function toCreateBody(spec: ContainerSpec): JsonObject {
  const exposed: Record<string, object> = {}
  const bindings: Record<string, { HostIp: string; HostPort: string }[]> = {}
  const hasStdin = spec.stdin !== undefined && spec.stdin !== false
  for (const { container, protocol = 'tcp', host, address = '127.0.0.1' } of spec.ports ?? []) {
    const key = `${container}/${protocol}`
    exposed[key] = {}
    ;(bindings[key] ??= []).push({ HostIp: address, HostPort: host === 0 ? '' : String(host) })
  }
  return {
    Image: spec.image,
    Entrypoint: spec.entrypoint,
    Cmd: spec.command,
    Env: Object.entries(spec.env ?? {}).map(([name, value]) => `${name}=${value}`),
    Labels: spec.labels,
    WorkingDir: spec.workingDirectory,
    User: spec.user,
    Hostname: spec.hostname,
    Tty: spec.terminal ?? false,
    OpenStdin: hasStdin,
    StdinOnce: hasStdin && spec.stdin !== 'always',
    AttachStdin: hasStdin,
    AttachStdout: true,
    AttachStderr: true,
    ExposedPorts: exposed,
    StopSignal: spec.stopSignal,
    Healthcheck: spec.withoutHealthCheck === true ? { Test: ['NONE'] } : undefined,
    HostConfig: {
      Mounts: (spec.mounts ?? []).map(toMount),
      PortBindings: bindings,
      NetworkMode: spec.network,
      ExtraHosts: spec.extraHosts,
      Init: spec.init,
      ...toChangeBody(spec),
      ReadonlyRootfs: spec.readOnlyRoot,
      CapDrop: spec.dropCapabilities,
      CapAdd: spec.addCapabilities,
      SecurityOpt: spec.securityOptions,
      AutoRemove: spec.removeAtEnd,
      Runtime: spec.runtime,
      Tmpfs: spec.tmpfs,
      ShmSize: spec.shmBytes,
      Ulimits: spec.ulimits?.map(({ name, soft, hard }) => ({ Name: name, Soft: soft, Hard: hard })),
      LogConfig: spec.logDriver === undefined ? undefined : { Type: spec.logDriver, Config: {} },
      CgroupnsMode: spec.cgroupNamespace,
    },
  }
}

export function toChangeBody({ memoryBytes, cpus, processes }: ContainerChange): JsonObject {
  return {
    Memory: memoryBytes,
    MemorySwap: memoryBytes,
    NanoCpus: cpus === undefined ? undefined : Math.round(cpus * NANO),
    PidsLimit: processes,
  }
}

function toMount(mount: MountPoint): JsonObject {
  if (mount.kind === 'tmpfs') {
    const options = mount.sizeBytes === undefined ? undefined : { SizeBytes: mount.sizeBytes }
    return { Type: 'tmpfs', Target: mount.target, TmpfsOptions: options }
  }
  if (mount.kind === 'volume') {
    const options = { NoCopy: mount.empty ?? false }
    return {
      Type: 'volume',
      Source: mount.source,
      Target: mount.target,
      ReadOnly: mount.readOnly,
      VolumeOptions: options,
    }
  }
  return { Type: mount.kind, Source: mount.source, Target: mount.target, ReadOnly: mount.readOnly }
}

export function toSummary(value: unknown): ContainerSummary {
  const object = toObject(value, 'container')
  return {
    id: toText(object, 'Id'),
    names: toList(object['Names'], 'Names').map((name) => String(name).replace(/^\//, '')),
    image: toText(object, 'Image'),
    labels: toTexts(object['Labels'], 'Labels'),
    state: toState(toText(object, 'State')),
    createdAt: toNumber(object, 'Created') * 1000,
  }
}

export function toContainer(value: unknown): Container {
  const object = toObject(value, 'container')
  const state = toObject(object['State'], 'State')
  const config = toObject(object['Config'], 'Config')
  const network = toObject(object['NetworkSettings'] ?? {}, 'NetworkSettings')
  const host = toObject(object['HostConfig'] ?? {}, 'HostConfig')
  return {
    id: toText(object, 'Id'),
    name: toText(object, 'Name').replace(/^\//, ''),
    image: toText(object, 'Image'),
    labels: toTexts(config['Labels'], 'Labels'),
    state: toState(toText(state, 'Status')),
    pid: toNumber(state, 'Pid'),
    exitCode: toNumber(state, 'ExitCode'),
    outOfMemory: state['OOMKilled'] === true,
    env: toVariables(config['Env']),
    workingDirectory: typeof config['WorkingDir'] === 'string' ? config['WorkingDir'] : '',
    terminal: config['Tty'] === true,
    memoryBytes: numberOr0(host['Memory']),
    cpus: numberOr0(host['NanoCpus']) / NANO,
    processes: Math.max(0, numberOr0(host['PidsLimit'])),
    startedAt: typeof state['StartedAt'] === 'string' ? state['StartedAt'] : '',
    error: toText(state, 'Error'),
    ports: Object.entries(toObject(network['Ports'] ?? {}, 'Ports')).flatMap(([key, bound]) => toPorts(key, bound)),
  }
}

const numberOr0 = (value: unknown): number => (typeof value === 'number' ? value : 0)

function toPorts(key: string, bound: unknown): Container['ports'] {
  const [port = '', protocol = 'tcp'] = key.split('/')
  return toList(bound, 'Ports').map((value) => {
    const binding = toObject(value, 'Ports')
    return {
      container: Number(port),
      protocol,
      address: toText(binding, 'HostIp'),
      host: Number(toText(binding, 'HostPort')),
    }
  })
}

const STATES: readonly ContainerState[] = ['created', 'running', 'paused', 'restarting', 'removing', 'exited', 'dead']

function toState(text: string): ContainerState {
  return STATES.find((state) => state === text) ?? 'dead'
}
