import type { Proc } from './proc.ts'

export type BackendName = 'native' | 'docker' | 'nix'

/**
 * A place in which processes run: this machine, a container, or a Nix development shell. The same calls, the same
 * meaning, one conformance suite. Closing it (`await using`) is `shutdown`.
 */
export interface RunnerEnvironment extends AsyncDisposable {
  readonly backend: BackendName
  /** For people: what was chosen and why, for example `docker 20.10.24, container cove-api, reused`. */
  readonly description: string
  /**
   * Gets it ready: pulls the image and starts the container, builds the shell, nothing on this machine. Safe to call
   * twice; calls at the same time share one. After `stop` it is ready again.
   */
  init(options?: InitOptions): Promise<void>
  /**
   * A process, not started. `program` is a path, or a name that is looked up: at once on this machine
   * (`command-not-found`), at the start elsewhere.
   */
  newProcess(program: string, ...args: readonly string[]): Promise<Proc>
  /**
   * Makes a program visible to later processes by its name: on this machine and in a shell its folder is put in front of
   * their PATH; in a container it is checked to be there (`command-not-found`).
   */
  withBinary(program: string): Promise<void>
  /** Variables of every later process; a process's own go before them, later calls before earlier ones. */
  withEnvironment(variables: Readonly<Record<string, string>>): void
  /** Ends its processes and what they run in, and keeps it for the next `init`. Safe before `init`, and twice. */
  stop(options?: StopOptions): Promise<void>
  /** Ends and removes everything that it has made. Safe to call twice; nothing works afterwards. */
  shutdown(): Promise<void>
}

export interface InitOptions {
  readonly signal?: AbortSignal
  /** Told in words for people, for example `pulling layer 3 of 7`. */
  readonly progress?: (step: string) => void
}

export interface StopOptions {
  /** From TERM to KILL. Default 5,000. */
  readonly graceMs?: number
  /** Does not wait for the grace any longer. */
  readonly signal?: AbortSignal
}
