import { OnIdle, SandboxService } from '@cove/api'
import { randomId } from '@cove/domain'
import type { CallOptions } from './call-options.ts'
import { limitsInit } from './convert/limits.ts'
import { filterInit, isolationNumber, networkInit, sandboxInfo } from './convert/sandbox.ts'
import { timeoutInit } from './convert/time.ts'
import { Pages } from './pages.ts'
import type { SandboxInfo } from './sandbox-info.ts'
import type {
  CreateOptions,
  ForkOptions,
  LimitOptions,
  ListFilter,
  ListOptions,
  PauseOptions,
  SandboxStats,
  StopOptions,
  TimeoutUpdate,
} from './sandbox-options.ts'
import {
  deleteSandbox,
  pauseSandbox,
  resumeSandbox,
  sandboxStats,
  stopSandbox,
  updateLimits,
  updateTimeouts,
} from './sandbox-calls.ts'
import { watchSandboxes, type SandboxEvent } from './sandbox-watch.ts'
import { Sandbox, SandboxRef } from './sandbox.ts'
import { kindNumber, kindOf, type SnapshotKind } from './snapshots.ts'
import { webRandom } from './web-clock.ts'
import type { Rpc } from './wire/rpc.ts'

/** Which sandboxes are watched. */
export interface WatchOptions extends ListFilter {
  readonly signal?: AbortSignal
}

/** The children of a fork. */
export interface Fork {
  readonly sandboxes: readonly Sandbox[]
  /** What they have of their parent. */
  readonly kind: SnapshotKind
}

/** All sandboxes of the project that the API key belongs to. */
export class Sandboxes {
  readonly #rpc: Rpc

  /** @internal */
  constructor(rpc: Rpc) {
    this.#rpc = rpc
  }

  /** Makes a sandbox and answers when it runs. The handle owns it: `await using` deletes it. */
  async create(options: CreateOptions = {}, call: CallOptions = {}): Promise<Sandbox> {
    const { isolation, network, idleTimeout, onIdle, autoResume, lifetime } = options
    const answer = await this.#rpc.unary(
      SandboxService.method.createSandbox,
      {
        template: options.template ?? '',
        name: options.name ?? '',
        driver: options.driver ?? '',
        env: { ...options.env },
        labels: { ...options.labels },
        idempotencyKey: options.idempotencyKey ?? randomId(webRandom),
        snapshot: options.snapshot ?? '',
        volumes: (options.volumes ?? []).map(({ volume, path, readOnly = false }) => ({ volume, path, readOnly })),
        ...(isolation === undefined ? {} : { isolation: isolationNumber(isolation) }),
        ...(options.limits === undefined ? {} : { limits: limitsInit(options.limits) }),
        ...(network === undefined ? {} : { network: networkInit(network) }),
        ...(idleTimeout === undefined ? {} : { idleTimeout: timeoutInit(idleTimeout) }),
        ...(onIdle === undefined ? {} : { onIdle: onIdle === 'pause' ? OnIdle.PAUSE : OnIdle.DELETE }),
        ...(autoResume === undefined ? {} : { autoResume }),
        ...(lifetime === undefined ? {} : { lifetime: timeoutInit(lifetime) }),
      },
      { ...call, idempotent: true },
    )
    return new Sandbox(this.#rpc, answer.sandbox, true)
  }

  /** By id or by name. */
  async get(id: string, call: CallOptions = {}): Promise<Sandbox> {
    const answer = await this.#rpc.unary(SandboxService.method.getSandbox, { id }, call)
    return new Sandbox(this.#rpc, answer.sandbox, false)
  }

  /** A handle for running things in a sandbox whose id or name is known, without asking the server first. */
  at(id: string): SandboxRef {
    return new SandboxRef(this.#rpc, id)
  }

  /** Newest first: `for await` over sandboxes, or `.pages()`. */
  list(options: ListOptions = {}): Pages<SandboxInfo> {
    const call = options.signal === undefined ? {} : { signal: options.signal }
    return new Pages(async (pageToken) => {
      const request = { filter: filterInit(options), pageSize: options.pageSize ?? 0, pageToken }
      const answer = await this.#rpc.unary(SandboxService.method.listSandboxes, request, call)
      return { items: answer.sandboxes.map(sandboxInfo), next: answer.nextPageToken }
    })
  }

  /**
   * First every sandbox that matches, then `synced`, then every change until each is `deleted`, also of those that have
   * left the filter since.
   *
   * A dropped connection is made again. Everything is then told anew as it is now, with the sandboxes that have ended
   * meanwhile (as `changed`, in the state `deleted`), and `synced` again: whoever keeps a copy by id has it right. What
   * happened in between is not told step by step. Ends with the reason when no connection can be made, or when the signal
   * aborts.
   */
  watch(options: WatchOptions = {}): AsyncGenerator<SandboxEvent> {
    return watchSandboxes(this.#rpc, options, options.signal)
  }

  /** Ends everything that runs in a sandbox and keeps its disk. */
  stop(id: string, options: StopOptions = {}): Promise<SandboxInfo> {
    return stopSandbox(this.#rpc, id, options)
  }

  /** Makes a stopped sandbox run again on its disk: the next incarnation. */
  async start(id: string, call: CallOptions = {}): Promise<Sandbox> {
    const answer = await this.#rpc.unary(SandboxService.method.startSandbox, { id }, { ...call, idempotent: true })
    return new Sandbox(this.#rpc, answer.sandbox, false)
  }

  /** Freezes a sandbox. Its idle clock stands still, and its lifetime too unless it is to go on. */
  pause(id: string, options: PauseOptions = {}): Promise<SandboxInfo> {
    return pauseSandbox(this.#rpc, id, options)
  }

  /** Lets a paused sandbox go on where it was. */
  resume(id: string, call: CallOptions = {}): Promise<SandboxInfo> {
    return resumeSandbox(this.#rpc, id, call)
  }

  /** Children that go on from where a running sandbox is now, each with an identity of its own. All of them or none. */
  async fork(id: string, options: ForkOptions = {}): Promise<Fork> {
    const { count = 1, kind, labels = {} } = options
    const request = { id, count, kind: kindNumber(kind), labels: { ...labels } }
    const answer = await this.#rpc.unary(SandboxService.method.forkSandbox, request, options)
    const sandboxes = answer.sandboxes.map((wire) => new Sandbox(this.#rpc, wire, true))
    return { sandboxes, kind: kindOf(answer.kind) }
  }

  /** Changes limits of a running sandbox; what is not named stays. */
  updateLimits(id: string, limits: LimitOptions, call: CallOptions = {}): Promise<SandboxInfo> {
    return updateLimits(this.#rpc, id, limits, call)
  }

  /** What a sandbox uses now. What cannot be measured is absent. */
  stats(id: string, call: CallOptions = {}): Promise<SandboxStats> {
    return sandboxStats(this.#rpc, id, call)
  }

  /** Sets the idle timeout, or the lifetime counted from now, or both. */
  updateTimeouts(id: string, timeouts: TimeoutUpdate, call: CallOptions = {}): Promise<SandboxInfo> {
    return updateTimeouts(this.#rpc, id, timeouts, call)
  }

  /** Works from every state, and twice. */
  delete(id: string, call: CallOptions = {}): Promise<SandboxInfo | undefined> {
    return deleteSandbox(this.#rpc, id, call)
  }
}
