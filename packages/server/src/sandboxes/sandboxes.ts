import {
  CoveError,
  type Guest,
  type Limits,
  type MachineStats,
  type Sandbox,
  type SandboxId,
  type SandboxState,
  type Timeout,
} from '@cove/domain'
import type { Scope } from '../auth/principal.ts'
import type { Core } from './core.ts'
import { Creator } from './create.ts'
import { nameKey } from './keys.ts'
import { endedError } from './ledger.ts'
import { pause, resume, type PauseRequest } from './pause.ts'
import { start, stop } from './power.ts'
import { listPage, sees, type Filter, type Page, type PageRequest } from './query.ts'
import { decodeReservation } from './records.ts'
import { remove } from './remove.ts'
import { checkLimits, checkTimeout, isSandboxId, type CreateRequest } from './request.ts'
import type { Resolved } from './resolve.ts'
import { watchSandboxes, type WatchEvent } from './watch.ts'

/** A way into a running sandbox that counts as activity until it is let go. */
export interface GuestLease extends Disposable {
  readonly guest: Guest
  readonly sandbox: Sandbox
}

/** Everything that can be asked about sandboxes, for the doors. `ref` is an id, or the name of a live sandbox. */
export class Sandboxes {
  readonly #core: Core
  readonly #creator: Creator

  constructor(core: Core) {
    this.#core = core
    this.#creator = new Creator(core)
  }

  /** Answers when it runs. See `Creator.create` for what the caller's signal means. */
  create(
    scope: Scope,
    request: CreateRequest,
    caller?: AbortSignal,
    resolve?: () => Promise<Resolved>,
  ): Promise<Sandbox> {
    return this.#creator.create(scope, request, caller, resolve)
  }

  /** Also an ended one, as long as its tombstone is kept; later `sandbox-gone`, and at last `sandbox-not-found`. */
  async get(scope: Scope, ref: string): Promise<Sandbox> {
    return this.#known(scope, ref) ?? (await this.#lookUp(scope, ref))
  }

  /** Whatever its project, for whoever checks a permission that names it. Undefined when it is not known any more. */
  async find(id: SandboxId): Promise<Sandbox | undefined> {
    const { view, ledger } = this.#core
    return view.sandbox(id) ?? (view.isGone(id) ? undefined : await ledger.refresh(id))
  }

  list(scope: Scope, request: PageRequest): Page {
    return listPage(this.#core.view, scope, request)
  }

  watch(scope: Scope, filter: Filter, signal: AbortSignal): AsyncGenerator<WatchEvent> {
    return watchSandboxes(this.#core.view, scope, filter, signal)
  }

  async stop(scope: Scope, ref: string, graceMs: number, incarnation = 0): Promise<Sandbox> {
    const sandbox = await this.get(scope, ref)
    this.#checkAlive(ref, sandbox)
    checkIncarnation(sandbox, incarnation)
    return stop(this.#core, sandbox.spec.id, graceMs)
  }

  async start(scope: Scope, ref: string): Promise<Sandbox> {
    const sandbox = await this.get(scope, ref)
    this.#checkAlive(ref, sandbox)
    return start(this.#core, sandbox.spec.id)
  }

  /** Paused time burns no idle time, and no lifetime unless that is asked for. */
  async pause(scope: Scope, ref: string, request: PauseRequest = {}): Promise<Sandbox> {
    const sandbox = await this.get(scope, ref)
    this.#checkAlive(ref, sandbox)
    return pause(this.#core, sandbox.spec.id, request)
  }

  async resume(scope: Scope, ref: string): Promise<Sandbox> {
    const sandbox = await this.get(scope, ref)
    this.#checkAlive(ref, sandbox)
    return resume(this.#core, sandbox.spec.id)
  }

  /** Of a running sandbox; those that are not named stay, also when it is started anew. */
  async updateLimits(scope: Scope, ref: string, limits: Limits): Promise<Sandbox> {
    checkLimits(limits)
    const { spec, status } = await this.running(scope, ref)
    const reports = await this.#core.node.resize(spec.id, status.incarnation, limits)
    this.#core.activity.touch(spec.id)
    return this.#core.ledger.amend(spec.id, (entry) => ({
      spec: { ...entry.spec, limits: { ...entry.spec.limits, ...limits } },
      status: { ...entry.status, limits: reports },
    }))
  }

  async stats(scope: Scope, ref: string): Promise<MachineStats> {
    const sandbox = await this.get(scope, ref)
    this.#checkAlive(ref, sandbox)
    const { state, pausedTo } = sandbox.status
    if (state === 'paused' && pausedTo === 'disk') return { memoryBytes: 0, processes: 0 }
    return this.#core.node.stats(sandbox.spec.id, sandbox.status.incarnation)
  }

  /** The sandbox, when it runs; `wrong-state` with what to do about it otherwise. */
  async running(scope: Scope, ref: string, incarnation = 0): Promise<Sandbox> {
    const sandbox = this.#known(scope, ref) ?? (await this.#lookUp(scope, ref))
    this.#checkAlive(ref, sandbox)
    checkIncarnation(sandbox, incarnation)
    const { state } = sandbox.status
    if (state === 'running') return sandbox
    if (wakesOnUse(sandbox.spec) && IS_PAUSED.has(state)) return await this.#wake(ref, sandbox.spec.id)
    const command = state === 'stopped' ? 'start' : state === 'paused' ? 'resume' : undefined
    throw new CoveError(
      'wrong-state',
      `sandbox ${ref} is ${state}, not running`,
      { sandbox: sandbox.spec.id, state },
      command === undefined ? {} : { fix: `Use \`cove ${command} ${ref}\` first.` },
    )
  }

  /** Absent timeouts stay. A lifetime counts from now. Being cared for counts as activity. */
  async updateTimeouts(
    scope: Scope,
    ref: string,
    change: { readonly idleTimeout?: Timeout; readonly lifetime?: Timeout },
  ): Promise<Sandbox> {
    if (change.idleTimeout !== undefined) checkTimeout(change.idleTimeout, 'idleTimeout')
    if (change.lifetime !== undefined) checkTimeout(change.lifetime, 'lifetime')
    const sandbox = await this.get(scope, ref)
    this.#checkAlive(ref, sandbox)
    const { spec } = sandbox
    const { ledger, clock, activity } = this.#core
    activity.touch(spec.id)
    return ledger.amend(spec.id, (entry) => {
      const { state } = entry.status
      if (state === 'failed' || state === 'deleting') {
        throw new CoveError('wrong-state', `sandbox ${ref} is ${state}`, { sandbox: spec.id, state })
      }
      const { deadline: _old, ...status } = entry.status
      const kept = _old === undefined ? {} : { deadline: _old }
      const deadline = change.lifetime === undefined ? kept : deadlineOf(change.lifetime, startOf(status, clock.now()))
      return { spec: { ...entry.spec, ...change }, status: { ...status, ...deadline } }
    })
  }

  /** From every state, and twice; answers with the tombstone. */
  async delete(scope: Scope, ref: string): Promise<Sandbox> {
    const { spec } = await this.get(scope, ref)
    return remove(this.#core, spec.id, 'deleted')
  }

  /** The data path. `wrong-state` unless it runs; `stale-incarnation` when one is given and is not the current. */
  async guest(scope: Scope, ref: string, incarnation = 0): Promise<GuestLease> {
    const sandbox = await this.running(scope, ref, incarnation)
    const { id } = sandbox.spec
    const release = this.#core.activity.hold(id)
    try {
      const guest = await this.#core.node.guest(id, sandbox.status.incarnation)
      return { guest, sandbox, [Symbol.dispose]: release }
    } catch (error) {
      release()
      throw error
    }
  }

  /** Sandboxes of the project by state, ended ones left out. */
  count(scope: Scope): Readonly<Record<string, number>> {
    const counts: Record<string, number> = {}
    for (const { spec, status } of this.#core.view.entries()) {
      if (sees(scope, spec)) counts[status.state] = (counts[status.state] ?? 0) + 1
    }
    return counts
  }

  /** Whoever comes while it is still being paused waits for that first. */
  async #wake(ref: string, id: SandboxId): Promise<Sandbox> {
    await this.#core.operations.join('pause', id)?.catch(() => undefined)
    const woken = await resume(this.#core, id)
    this.#checkAlive(ref, woken)
    return woken
  }

  #checkAlive(ref: string, sandbox: Sandbox): void {
    if (sandbox.status.state === 'deleted' || sandbox.status.state === 'deleting') throw endedError(ref, sandbox)
  }

  #known(scope: Scope, ref: string): Sandbox | undefined {
    const { view } = this.#core
    const sandbox = view.sandbox(ref as SandboxId) ?? (isSandboxId(ref) ? undefined : view.named(scope.project, ref))
    return sandbox !== undefined && sees(scope, sandbox.spec) ? sandbox : undefined
  }

  /** What this server has not heard of: another one may have made it a moment ago. */
  async #lookUp(scope: Scope, ref: string): Promise<Sandbox> {
    const { view, ledger } = this.#core
    let sandbox: Sandbox | undefined
    if (isSandboxId(ref)) {
      if (!view.isGone(ref)) sandbox = await ledger.refresh(ref as SandboxId)
    } else if (ref.length <= 63 && !ref.includes('/')) {
      const key = nameKey(scope.project, ref)
      const holder = await ledger.read(key)
      if (holder !== undefined) sandbox = await ledger.refresh(decodeReservation(key, holder.value).sandbox)
    }
    if (sandbox !== undefined && sees(scope, sandbox.spec)) return sandbox
    if (view.isGone(ref)) throw endedError(ref, undefined)
    const shown = JSON.stringify(ref.length > 80 ? `${ref.slice(0, 80)}…` : ref)
    throw new CoveError('sandbox-not-found', `there is no sandbox ${shown}`)
  }
}

const IS_PAUSED: ReadonlySet<SandboxState> = new Set(['pausing', 'paused', 'resuming'])

/** What pauses by itself wakes by itself, unless it was told otherwise. */
export const wakesOnUse = ({ autoResume, onIdle }: Sandbox['spec']): boolean => autoResume ?? onIdle === 'pause'

function checkIncarnation(sandbox: Sandbox, wanted: number): void {
  const { incarnation } = sandbox.status
  if (wanted === 0 || wanted === incarnation) return
  throw new CoveError('stale-incarnation', `sandbox ${sandbox.spec.id} is incarnation ${incarnation}, not ${wanted}`, {
    sandbox: sandbox.spec.id,
    incarnation,
  })
}

/** From when a lifetime counts: what is frozen gets its frozen time back when it wakes, from its beginning on. */
function startOf({ state, changedAt, burnsWhilePaused }: Sandbox['status'], now: number): number {
  return state === 'paused' && burnsWhilePaused !== true ? changedAt : now
}

function deadlineOf(lifetime: Timeout, now: number): { deadline?: number } {
  return lifetime === 'never' ? {} : { deadline: now + lifetime }
}
