import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { CoveError, describeExit, type Log, type Network } from '@cove/domain'
import type { HostProcess, Launcher } from '@cove/runner'
import { keeperSpec, prefixOf, socketOf } from './keeper-spec.ts'
import { linkToKeeper } from './keeper-link.ts'
import { etcFiles, type EtcFiles } from './etc-files.ts'
import { resolveAllow, type Lookup } from './resolve-allow.ts'
import { networkRules } from './rules.ts'
import { describeTools, findTools, type NetworkTools } from './tools.ts'

export interface NetworksOptions {
  readonly launcher: Launcher
  /** Path of the guest program, readable for whoever the keepers run as. */
  readonly guestProgram: string
  /** Holds a folder `networks` with the keepers' sockets; at most 79 bytes. */
  readonly runtimeDir: string
  /** Where several drivers share a launcher: a short name that tells their networks apart. */
  readonly owner?: string
  readonly log: Log
  /** Other programs than the system's. */
  readonly tools?: Partial<NetworkTools>
  /** How names in `allow` are looked up. Default: as this host does. */
  readonly lookup?: Lookup
}

/** Whether sandboxes can have the network `internet` here. */
export type NetworkSupport =
  | { readonly available: true; readonly tools: string }
  | { readonly available: false; readonly reason: string; readonly fix: string }

export interface StartedNetwork {
  /** For `networkOf` of the machine's host process. */
  readonly record: string
  /** Files of the machine's `/etc`. */
  readonly etc: EtcFiles
  /** Settles when its rules are loaded and it is connected; fails when it never will be. */
  readonly ready: Promise<void>
}

const PROBE = 'probe'
const PROBE_MS = 10_000
const LAST_WORDS_MS = 1_000
/** Of what a program said on stderr, the end. */
const MAX_SAID = 300

/**
 * The machines' network namespaces: for each a host process, the keeper, that makes it, loads its rules, and connects
 * it by slirp4netns. It outlives the daemon like the machine itself, and ends with it.
 */
export class Networks {
  readonly #options: NetworksOptions
  readonly #folder: string
  readonly #prefix: string
  readonly #live = new Set<string>()
  readonly #closing = new AbortController()
  #support: NetworkSupport | undefined
  #tools: NetworkTools | undefined
  #probing: Promise<NetworkSupport> | undefined

  private constructor(options: NetworksOptions) {
    this.#options = options
    this.#folder = join(options.runtimeDir, 'networks')
    this.#prefix = prefixOf(options.owner)
  }

  /** Learns what is there; ends what belongs to none of `machines`. */
  static async open(options: NetworksOptions, machines: ReadonlySet<string>): Promise<Networks> {
    const networks = new Networks(options)
    await mkdir(networks.#folder, { recursive: true, mode: 0o700 })
    for (const process of await options.launcher.list()) {
      if (!process.id.startsWith(networks.#prefix)) continue
      const machine = process.id.slice(networks.#prefix.length)
      networks.#live.add(machine)
      if (!machines.has(machine)) await networks.end(machine)
      else networks.#watch(machine, process)
    }
    // A folder without a record is what a launcher leaves that is killed at the wrong moment.
    for (const name of await readdir(networks.#folder)) {
      if (!networks.#live.has(name)) await networks.end(name)
    }
    return networks
  }

  /** As it was found last; undefined before it was tried. */
  get support(): NetworkSupport | undefined {
    return this.#support
  }

  /** The same, tried anew unless it was found. */
  async find(signal?: AbortSignal): Promise<NetworkSupport> {
    return this.#support?.available === true ? this.#support : this.probe(signal)
  }

  /** Finds out anew, by making one and ending it. Never fails. */
  probe(signal?: AbortSignal): Promise<NetworkSupport> {
    this.#probing ??= this.#probe(signal).finally(() => {
      this.#probing = undefined
    })
    return this.#probing
  }

  /** Takes back what is just being tried; the networks of machines stay. */
  async close(): Promise<void> {
    this.#closing.abort()
    await this.#probing
  }

  has(machine: string): boolean {
    return this.#live.has(machine)
  }

  /**
   * Makes a machine's network: resolves when the namespace is there, so that the machine is built meanwhile. There is
   * no way out of it until its rules are loaded, and no workload before `ready`. A failed or cancelled start leaves nothing. `network-unavailable` when this host cannot enforce it, or a name in `allow` does
   * not resolve; `invalid-argument` for an `allow` that cannot be understood.
   */
  async start(machine: string, network: Network & { kind: 'internet' }, signal: AbortSignal): Promise<StartedNetwork> {
    const support = await this.find()
    const tools = this.#tools
    if (!support.available || tools === undefined) {
      const { reason, fix } = support.available ? { reason: 'it is unknown how', fix: 'Try again.' } : support
      throw new CoveError('network-unavailable', `no network internet here: ${reason}`, { field: 'network' }, { fix })
    }
    return this.#start(machine, network.allow, tools, signal)
  }

  /** Ends it, also one that is half made or was never there. */
  async end(machine: string): Promise<void> {
    await this.#options.launcher.destroy(this.#prefix + machine)
    await rm(join(this.#folder, machine), { recursive: true, force: true })
    this.#live.delete(machine)
  }

  async #start(
    machine: string,
    allow: readonly string[],
    tools: NetworkTools,
    signal: AbortSignal,
  ): Promise<StartedNetwork> {
    const { exceptions, hosts } = await resolveAllow(allow, signal, this.#options.lookup)
    const { launcher, guestProgram } = this.#options
    const spec = keeperSpec({
      record: this.#prefix + machine,
      machine,
      folder: this.#folder,
      guestProgram,
      tools,
      rules: networkRules(exceptions),
      hostLoopback: exceptions.some(({ kind }) => kind === 'host'),
      ids: process.getuid?.() === 0 ? 'root' : 'self',
    })
    this.#live.add(machine)
    let keeper: HostProcess | undefined
    try {
      keeper = await launcher.start(spec, signal)
      const link = linkToKeeper(socketOf(this.#folder, machine), signal)
      const { inet6 } = await link.made
      this.#watch(machine, keeper)
      const ready = link.ready.catch(async (error: unknown) => {
        throw await this.#failure(keeper, error, signal)
      })
      // The machine may fail for another reason before anybody waits for this.
      ready.catch(() => undefined)
      const etc = await etcFiles({ inet6, hosts, hostLoopback: exceptions.some(({ kind }) => kind === 'host') })
      return { record: spec.id, etc, ready }
    } catch (error) {
      const failure = await this.#failure(keeper, error, signal)
      // Somebody else's is left alone.
      if (failure.code !== 'already-exists') await this.end(machine).catch(() => undefined)
      throw failure
    }
  }

  /** What the programs said is the reason. */
  async #failure(keeper: HostProcess | undefined, error: unknown, signal: AbortSignal): Promise<CoveError> {
    if (signal.aborted) return CoveError.from(signal.reason, 'cancelled')
    const known = CoveError.from(error, 'driver-failed')
    if (keeper === undefined || known.code !== 'network-unavailable') return known
    // Its last words are all there when it has ended, which it is about to.
    await Promise.race([keeper.exited, delay(LAST_WORDS_MS, undefined, { ref: false })])
    const said = Buffer.from(await keeper.output('stderr').catch(() => new Uint8Array())).toString('utf8')
    const why = said
      .trim()
      .split('\n')
      .filter((line) => !line.startsWith('WARNING'))
      .join('; ')
      .slice(-MAX_SAID)
    const message = why === '' ? known.message : `${known.message}: ${why}`
    return new CoveError('network-unavailable', message, { field: 'network' }, { fix: CHECK, cause: error })
  }

  /** Without its keeper a machine has no network; that nothing is open then is the kernel's doing. */
  #watch(machine: string, keeper: HostProcess): void {
    const { log } = this.#options
    void keeper.exited.then((exit) => {
      if (this.#live.has(machine)) log.warn('the network of a machine has ended', { machine, exit: describeExit(exit) })
      return undefined
    })
  }

  async #probe(wanted?: AbortSignal): Promise<NetworkSupport> {
    const found = await findTools(this.#options.tools ?? {})
    if (!found.found) {
      const { reason, fix } = found
      return (this.#support = { available: false, reason, fix })
    }
    this.#tools = found.tools
    const described = describeTools(found.tools)
    try {
      await this.end(PROBE)
      const ends = [this.#closing.signal, AbortSignal.timeout(PROBE_MS)]
      const signal = AbortSignal.any(wanted === undefined ? ends : [wanted, ...ends])
      const started = await this.#start(PROBE, [], found.tools, signal)
      await started.ready
      this.#support = { available: true, tools: await described }
    } catch (error) {
      const { message, fix } = CoveError.from(error)
      this.#support = { available: false, reason: message, fix: fix ?? CHECK }
    } finally {
      this.#live.delete(PROBE)
      await this.end(PROBE).catch(() => undefined)
    }
    return this.#support
  }
}

const CHECK =
  'Needs a kernel with nf_tables and tun, network namespaces that may be made, and nftables 0.9.4 or later; as an ordinary user also user namespaces.'
