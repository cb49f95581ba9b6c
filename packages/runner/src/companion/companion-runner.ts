import { CoveError } from '@cove/domain'
import type { DockerEngine } from '@cove/docker-engine'
import type { DockerEnvironment } from '../docker/docker-environment.ts'
import type { DockerEnvironmentOptions, HostMount, PublishedPort } from '../docker/docker-options.ts'
import { openDockerEnvironment } from '../docker/open-docker-environment.ts'
import { checkVariables, type Variables } from '../environment/environment-layers.ts'
import type { Proc } from '../environment/proc.ts'
import type { BackendName, InitOptions, RunnerEnvironment, StopOptions } from '../environment/runner-environment.ts'
import type { Runner } from '../native/open-runner.ts'
import { chooseBackend, type BackendChoice, type BackendWishes } from './choose-backend.ts'
import { hostPath } from './companion-paths.ts'

export interface CompanionOptions {
  /** Without `nix`, and without the option of that name, nix is not used. */
  readonly runner: Pick<Runner, 'native' | 'installation'> & Partial<Pick<Runner, 'nix'>>
  /** As of a container: letters, digits, `_`, `.`, `-` and `/`. */
  readonly name: string
  /** What a container would be made from. */
  readonly image?: string
  /** Absolute; a folder that may have a flake. */
  readonly flake?: string
  /** Opens the shell of a flake. Default: the runner's. */
  readonly nix?: (options: {
    readonly flake: string
    readonly directory: string | undefined
  }) => RunnerEnvironment | Promise<RunnerEnvironment>
  /** Tried before the others; with `only`, instead of them. Default: docker, nix, native. */
  readonly prefer?: BackendName
  readonly only?: boolean
  /** More about the container, if there is to be one. */
  readonly docker?: Partial<Omit<DockerEnvironmentOptions, 'name' | 'image' | 'installation' | 'engine'>>
  /** Where the engine and nix are looked for. Default: the variables of this program. */
  readonly hostEnvironment?: BackendWishes['hostEnvironment']
  readonly signal?: AbortSignal
}

/**
 * Runs helper programs next to a service in whatever works here: a container, a Nix shell, or this machine. The same
 * calls for all; what makes no sense for the backend does nothing. Says what it has chosen and why.
 */
export interface CompanionRunner extends RunnerEnvironment {
  /** Every backend in the order in which it was considered, and why it was taken or not. */
  readonly choices: readonly BackendChoice[]
  /** Shows a folder of this machine in the container. Elsewhere paths below `target` mean the folder itself. */
  withMount(mount: HostMount): this
  /** Publishes a port of the container on loopback. Elsewhere a process listens on this machine anyway. */
  withPort(port: PublishedPort): this
  /** Where processes run, absolute, as the container sees it. */
  withDirectory(directory: string): this
  /** The container does nothing by itself. Elsewhere there is nothing to pause. */
  withPause(): this
  /** At which port of this machine a port of the container answers. After `init`. */
  hostPort(port: number): Promise<number>
}

/** Chooses a backend; nothing is made before `init`. `unsupported` when only one is allowed and does not work. */
export async function openCompanion(options: CompanionOptions): Promise<CompanionRunner> {
  const { image, flake, prefer, only, signal } = options
  const { backend, choices, engine } = await chooseBackend({
    image,
    flake,
    prefer,
    only,
    signal,
    hostEnvironment: options.hostEnvironment ?? process.env,
    canNix: (options.nix ?? options.runner.nix) !== undefined,
  })
  return new ChosenCompanion(options, backend, choices, engine)
}

class ChosenCompanion implements CompanionRunner {
  readonly backend: BackendName
  readonly choices: readonly BackendChoice[]
  readonly #options: CompanionOptions
  readonly #engine: DockerEngine | undefined
  readonly #mounts: HostMount[] = []
  readonly #ports: PublishedPort[] = []
  readonly #variables: Record<string, string> = {}
  #directory: string | undefined
  /** Where processes run, when the environment itself is elsewhere. */
  #startIn: string | undefined
  #pause = false
  #opening: Promise<RunnerEnvironment> | undefined
  #opened: RunnerEnvironment | undefined
  #container: DockerEnvironment | undefined
  #closing: Promise<void> | undefined

  constructor(
    options: CompanionOptions,
    backend: BackendName,
    choices: readonly BackendChoice[],
    engine: DockerEngine | undefined,
  ) {
    this.#options = options
    this.backend = backend
    this.choices = choices
    this.#engine = engine
  }

  get description(): string {
    const why = this.choices.find(({ chosen }) => chosen)?.reason ?? ''
    return `${this.#opened?.description ?? this.backend}: ${why}`
  }

  withMount(mount: HostMount): this {
    this.#needUnopened()
    this.#mounts.push(mount)
    return this
  }

  withPort(port: PublishedPort): this {
    this.#needUnopened()
    this.#ports.push(port)
    return this
  }

  withDirectory(directory: string): this {
    this.#needUnopened()
    this.#directory = directory
    return this
  }

  withPause(): this {
    this.#needUnopened()
    this.#pause = true
    return this
  }

  async hostPort(port: number): Promise<number> {
    if (this.backend !== 'docker') return port
    const ports = (await this.#container?.ports()) ?? []
    const found = ports.find(({ container, protocol }) => container === port && protocol === 'tcp')
    if (found !== undefined) return found.host
    // A container that shares the network of its machine has no ports of its own.
    if (this.#options.docker?.network === 'host') return port
    throw new CoveError(
      'wrong-state',
      `port ${port} is not published`,
      { port },
      { fix: 'Use `withPort` before `init`.' },
    )
  }

  async init(options?: InitOptions): Promise<void> {
    const environment = await this.#open()
    await environment.init(options)
  }

  async newProcess(program: string, ...args: readonly string[]): Promise<Proc> {
    const environment = await this.#open()
    const proc = await environment.newProcess(program, ...args)
    return this.#startIn === undefined ? proc : proc.withDirectory(this.#startIn)
  }

  async withBinary(program: string): Promise<void> {
    const environment = await this.#open()
    await environment.withBinary(program)
  }

  withEnvironment(variables: Variables): void {
    checkVariables(variables)
    Object.assign(this.#variables, variables)
    this.#opened?.withEnvironment(variables)
  }

  async stop(options?: StopOptions): Promise<void> {
    const environment = await this.#opening?.catch(() => undefined)
    await environment?.stop(options)
  }

  async shutdown(): Promise<void> {
    this.#closing ??= this.#shutDown()
    await this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown()
  }

  async #shutDown(): Promise<void> {
    try {
      const environment = await this.#opening?.catch(() => undefined)
      await environment?.shutdown()
    } finally {
      this.#engine?.[Symbol.dispose]()
    }
  }

  #open(): Promise<RunnerEnvironment> {
    if (this.#closing !== undefined) {
      return Promise.reject(new CoveError('wrong-state', 'the companion was shut down'))
    }
    this.#opening ??= this.#openBackend()
    return this.#opening
  }

  async #openBackend(): Promise<RunnerEnvironment> {
    const environment = await this.#makeEnvironment()
    environment.withEnvironment(this.#variables)
    this.#opened = environment
    return environment
  }

  async #makeEnvironment(): Promise<RunnerEnvironment> {
    const { runner, name, image = '', flake = '', docker = {}, nix } = this.#options
    const path = this.#directory
    const directory = path === undefined ? undefined : hostPath(path, this.#mounts)
    if (this.backend === 'nix' && nix !== undefined) return await nix({ flake, directory })
    if (this.backend === 'nix' && runner.nix !== undefined) {
      this.#startIn = directory
      return await runner.nix({ directory: flake, host: this.#options.hostEnvironment ?? process.env })
    }
    if (this.backend !== 'docker') return runner.native(directory === undefined ? {} : { directory })
    this.#container = await openDockerEnvironment({
      ...docker,
      name,
      image,
      installation: runner.installation,
      ...(this.#engine === undefined ? {} : { engine: this.#engine }),
      ...(path === undefined ? {} : { directory: path }),
      ...(this.#pause ? { pause: true } : {}),
      mounts: [...(docker.mounts ?? []), ...this.#mounts],
      ports: [...(docker.ports ?? []), ...this.#ports],
    })
    return this.#container
  }

  #needUnopened(): void {
    if (this.#opening === undefined && this.#closing === undefined) return
    throw new CoveError('wrong-state', 'the companion is in use already: say before what it needs')
  }
}
