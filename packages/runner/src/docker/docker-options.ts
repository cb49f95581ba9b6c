import type { DockerEngine, EngineEnvironment } from '@cove/docker-engine'

/** What a container of a `RunnerEnvironment` is to be. */
export interface DockerEnvironmentOptions {
  /** Letters, digits, `_`, `.`, `-` and `/`; the container is `cove-<name>`, with `-` for each `/`. */
  readonly name: string
  readonly image: string
  /** Whose container it is: 1 to 64 of letters, digits and dash. The sweep of another installation leaves it alone. */
  readonly installation: string
  /**
   * `ephemeral`: ends with this process, at once when it pauses and otherwise by the next sweep. `durable`: is kept, and
   * found again by its name. Default `ephemeral`.
   */
  readonly owner?: 'ephemeral' | 'durable'
  /** Stays the caller's. Default: the engine that the `docker` command would use, opened and closed here. */
  readonly engine?: DockerEngine
  /** Where the engine is looked for. Default: that of this process. */
  readonly hostEnvironment?: EngineEnvironment
  /** Such as `linux/amd64`, for the pull. */
  readonly platform?: string

  /** Stays up and does nothing, whatever the image would do; only for processes that are started in it. */
  readonly pause?: boolean
  readonly entrypoint?: readonly string[]
  readonly command?: readonly string[]
  /** Name or number, also of the processes started in it. */
  readonly user?: string
  /** Absolute, in the container. Default: the image's. */
  readonly directory?: string
  /** Of its own first process, and of every further one. */
  readonly environment?: Readonly<Record<string, string>>
  /** Its first process gets a terminal. Default false. */
  readonly terminal?: boolean

  readonly mounts?: readonly HostMount[]
  /** Volumes that outlive the container, by name and key. */
  readonly caches?: readonly { readonly key: string; readonly target: string }[]
  readonly ports?: readonly PublishedPort[]
  /** Ports answer on every address of the host. Default: on loopback only. */
  readonly publicPorts?: boolean
  /** `none`, `host`, or the name of a network. Default: the engine's. */
  readonly network?: string
  /** Shows it the engine's socket, with which it can do everything to the host. Default false, and then no mount may. */
  readonly dockerSocket?: boolean
  readonly memoryBytes?: number
  readonly cpus?: number
  readonly processes?: number
}

export interface HostMount {
  /** Absolute; must be there. */
  readonly source: string
  /** Absolute, in the container. */
  readonly target: string
  readonly readOnly?: boolean
}

export interface PublishedPort {
  readonly container: number
  /** Default: one that is free. */
  readonly host?: number
  readonly protocol?: 'tcp' | 'udp'
}
