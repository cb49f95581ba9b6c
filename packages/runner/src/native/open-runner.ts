import { resolve } from 'node:path'
import { CoveError } from '@cove/domain'
import type { Variables } from '../environment/environment-layers.ts'
import type { RunnerEnvironment } from '../environment/runner-environment.ts'
import type { Launcher } from '../launcher.ts'
import { findProgram } from '../host/requirements.ts'
import { NixEnvironment } from '../nix/nix-environment.ts'
import { openLauncher } from '../open-launcher.ts'
import { findGuestProgram } from './guest-program.ts'
import { NativeEnvironment } from './native-environment.ts'
import { ownKey } from './own-key.ts'
import { defaultCacheFolder, defaultStateFolder, installationOf, openStateFolder } from './state-folder.ts'

export interface RunnerOptions {
  /**
   * Absolute; holds the records of what runs, and is made private to this user. Programs with the same folder share a
   * launcher, and end what others have left. Default: below the user's runtime or state folder.
   */
  readonly stateFolder?: string
  /** Path of Cove's guest program. Default: the one that comes with this package. */
  readonly guestProgram?: string
  /** A launcher without a connection and without a live process ends by itself after this time. Default 30,000. */
  readonly idleMs?: number
  /** Gives up opening. */
  readonly signal?: AbortSignal
}

export interface NixOptions extends NativeOptions {
  /** Where built shells are kept. Default: below the user's cache folder. */
  readonly cacheFolder?: string
  /** Path of nix. Default: looked for on the PATH. */
  readonly nix?: string
  /** Default: this program's own. */
  readonly host?: Readonly<Record<string, string | undefined>>
}

export interface NativeOptions {
  /** Where processes run that say nothing else. Default: the current directory. */
  readonly directory?: string
  /** Goes before this program's own environment. */
  readonly environment?: Variables
}

/**
 * Starts processes that end with this program, however it ends: also when it is killed, for the launcher outlives it.
 */
export interface Runner extends AsyncDisposable {
  /** For processes that are to outlive this program: records with a durable owner. */
  readonly launcher: Launcher
  /** The same for all programs that share the state folder; the runner's containers carry it as a label. */
  readonly installation: string
  readonly stateFolder: string
  /** How many processes of programs that are gone were ended when this was opened. */
  readonly swept: number
  /** An environment of processes of this machine. */
  native(options?: NativeOptions): RunnerEnvironment
  /**
   * An environment of processes of this machine in the development shell of the directory's flake. `command-not-found`
   * when there is no nix.
   */
  nix(options?: NixOptions): Promise<RunnerEnvironment>
  /** Shuts all of its environments down. Safe to call twice. */
  close(): Promise<void>
}

/**
 * Opens the runner, and first ends whatever programs that are gone have left running. `launcher-unavailable` when the
 * guest program is missing or does not start, `permission-denied` when the state folder is somebody else's.
 */
export async function openRunner(options: RunnerOptions = {}): Promise<Runner> {
  const stateFolder = options.stateFolder ?? defaultStateFolder()
  await openStateFolder(stateFolder)
  const installation = await installationOf(stateFolder)
  const launcher = await openLauncher({
    binary: options.guestProgram ?? (await findGuestProgram()),
    stateDir: stateFolder,
    installation,
    ...(options.idleMs === undefined ? {} : { idleMs: options.idleMs }),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  })
  try {
    const swept = await launcher.sweep()
    return new OpenRunner(launcher, { installation, stateFolder, swept, owner: await ownKey() })
  } catch (error) {
    await launcher.close()
    throw CoveError.from(error)
  }
}

const NIX_FIX = 'Install Nix: `apt-get install nix-bin`, or from https://nixos.org/download.'

type Facts = Pick<Runner, 'installation' | 'stateFolder' | 'swept'> & {
  readonly owner: { readonly pid: number; readonly startTime: number }
}

class OpenRunner implements Runner {
  readonly launcher: Launcher
  readonly installation: string
  readonly stateFolder: string
  readonly swept: number
  readonly #owner: Facts['owner']
  readonly #environments = new Set<RunnerEnvironment>()
  #closing: Promise<void> | undefined

  constructor(launcher: Launcher, facts: Facts) {
    this.launcher = launcher
    this.installation = facts.installation
    this.stateFolder = facts.stateFolder
    this.swept = facts.swept
    this.#owner = facts.owner
  }

  native(options: NativeOptions = {}): RunnerEnvironment {
    return this.#added(this.#native(options))
  }

  async nix(options: NixOptions = {}): Promise<RunnerEnvironment> {
    const host = options.host ?? process.env
    const nix = options.nix ?? (await findProgram('nix', host['PATH']))
    if (nix === undefined) {
      throw new CoveError('command-not-found', 'nix is not installed', {}, { fix: NIX_FIX })
    }
    const directory = resolve(options.directory ?? '.')
    return this.#added(
      new NixEnvironment({
        directory,
        nix,
        host,
        cacheFolder: resolve(options.cacheFolder ?? defaultCacheFolder(host)),
        environment: options.environment,
        native: (variables) => this.#native({ directory }, variables),
      }),
    )
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #native(options: NativeOptions, host?: Readonly<Record<string, string | undefined>>): NativeEnvironment {
    return new NativeEnvironment({
      launcher: this.launcher,
      owner: this.#owner,
      directory: resolve(options.directory ?? '.'),
      environment: options.environment,
      host,
    })
  }

  #added<T extends RunnerEnvironment>(environment: T): T {
    if (this.#closing !== undefined) throw new CoveError('wrong-state', 'the runner was closed')
    this.#environments.add(environment)
    return environment
  }

  async #close(): Promise<void> {
    const ends = await Promise.allSettled([...this.#environments].map((environment) => environment.shutdown()))
    await this.launcher.close()
    for (const end of ends) if (end.status === 'rejected') throw CoveError.from(end.reason)
  }
}
