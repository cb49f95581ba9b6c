import {
  CoveError,
  newSandboxId,
  type Compare,
  type Op,
  type Sandbox,
  type SandboxId,
  type SandboxSpec,
  type SandboxStatus,
} from '@cove/domain'
import type { Core } from './core.ts'
import type { Scope } from '../auth/principal.ts'
import { fitMemory } from '../templates/fit-memory.ts'
import { closingKey, projectClosing } from '../identity/records.ts'
import { Flights, conflict, digestKey, hashRequest } from './idempotency.ts'
import { idempotencyKey, nameKey, slotKey, specKey, statusKey } from './keys.ts'
import { endedError } from './ledger.ts'
import { make } from './make.ts'
import { decodeIdempotency, decodeReservation, encodeRecord } from './records.ts'
import { remove } from './remove.ts'
import { checkCreate, type CreateRequest } from './request.ts'
import { resolveCreate, type Resolved } from './resolve.ts'

type Resolve = () => Promise<Resolved>

interface Once {
  readonly digest: string
  readonly hash: string
}

/** Attempts to find a free slot when other servers take the same ones at the same time. */
const SLOT_ATTEMPTS = 16

/** Makes sandboxes: two transactions each, one that writes everything and one that says it runs. */
export class Creator {
  readonly #core: Core
  readonly #flights = new Flights()
  /** Slots that a transaction under way is about to take, and those that another server was seen to hold. */
  readonly #taken = new Set<string>()

  constructor(core: Core) {
    this.#core = core
  }

  /**
   * The signal is the caller's presence. When it goes away before the answer and nothing else could find the
   * sandbox again (neither a name nor an idempotency key), the sandbox is removed.
   */
  async create(
    scope: Scope,
    request: CreateRequest,
    caller?: AbortSignal,
    resolve: Resolve = () => resolveCreate(this.#core, scope, request),
  ): Promise<Sandbox> {
    checkCreate(request)
    const { project } = scope
    if (scope.sandbox !== undefined) {
      throw new CoveError('permission-denied', 'a token for one sandbox makes no others', { sandbox: scope.sandbox })
    }
    const key = request.idempotencyKey
    if (key !== undefined) {
      const digest = digestKey(key)
      const hash = hashRequest(request)
      return this.#flights.share(`${project}/${digest}`, hash, () =>
        this.#createOnce(project, request, resolve, { digest, hash }),
      )
    }
    caller?.throwIfAborted()
    const id = await this.#write(project, request, resolve)
    const made = make(this.#core, id)
    if (caller === undefined || request.name !== undefined) return made
    const abandon = (): void => {
      remove(this.#core, id, 'deleted').catch((error: unknown) => {
        this.#core.log.warn('an abandoned create was not removed', {
          sandbox: id,
          error: CoveError.from(error).message,
        })
      })
    }
    if (caller.aborted) abandon()
    else caller.addEventListener('abort', abandon, { once: true })
    try {
      return await made
    } finally {
      caller.removeEventListener('abort', abandon)
    }
  }

  async #createOnce(project: string, request: CreateRequest, resolve: Resolve, once: Once): Promise<Sandbox> {
    const earlier = await this.#replay(project, once.digest, once.hash)
    if (earlier !== undefined) return earlier
    return make(this.#core, await this.#write(project, request, resolve, once))
  }

  /** The result of an earlier create with the same key, if that still holds. */
  async #replay(project: string, digest: string, hash: string): Promise<Sandbox | undefined> {
    const { ledger, clock, view } = this.#core
    const key = idempotencyKey(project, digest)
    const item = await ledger.read(key)
    if (item === undefined) return undefined
    const record = decodeIdempotency(key, item.value)
    if (record.expiresAt <= clock.now()) return undefined
    if (record.requestHash !== hash) throw conflict()
    const sandbox = view.sandbox(record.sandbox) ?? (await ledger.refresh(record.sandbox))
    if (sandbox === undefined || sandbox.status.state === 'deleted' || sandbox.status.state === 'deleting') {
      throw endedError(record.sandbox, sandbox)
    }
    if (sandbox.status.state === 'creating') return make(this.#core, record.sandbox)
    return sandbox
  }

  async #write(project: string, request: CreateRequest, resolve: Resolve, once?: Once): Promise<SandboxId> {
    const { ledger, view, clock, random } = this.#core
    const id = newSandboxId(random)
    const { name } = request
    for (let attempt = 0; attempt < SLOT_ATTEMPTS; attempt++) {
      // Anew each time: what was found may be what has changed.
      const resolved = await resolve()
      const spec = this.#specify(id, project, request, resolved)
      if (name !== undefined) this.#checkNameFree(project, name, view.nameHolder(project, name))
      const slot = this.#pickSlot(project)
      const slotName = slotKey(project, slot)
      this.#taken.add(slotName)
      try {
        const reservation = encodeRecord({ sandbox: id })
        const idempotency = once === undefined ? {} : { idempotency: once.digest }
        const compare: Compare[] = [
          { key: specKey(id), absent: true },
          { key: slotName, absent: true },
          { key: closingKey(project), absent: true },
          ...resolved.compare,
        ]
        const ops: Op[] = [
          { type: 'put', key: specKey(id), value: encodeRecord({ spec, slot, ...idempotency }) },
          { type: 'put', key: statusKey(id), value: encodeRecord(firstStatus(spec)) },
          { type: 'put', key: slotName, value: reservation },
        ]
        if (name !== undefined) {
          compare.push({ key: nameKey(project, name), absent: true })
          ops.push({ type: 'put', key: nameKey(project, name), value: reservation })
        }
        if (once !== undefined) {
          const key = idempotencyKey(project, once.digest)
          const old = await ledger.read(key)
          compare.push(old === undefined ? { key, absent: true } : { key, modRevision: old.modRevision })
          const expiresAt = clock.now() + this.#core.limits.idempotencyMs
          ops.push({ type: 'put', key, value: encodeRecord({ requestHash: once.hash, sandbox: id, expiresAt }) })
        }
        if (await ledger.commit(compare, ops)) return id
      } finally {
        this.#taken.delete(slotName)
      }
      await this.#explainConflict(project, name, slotName)
    }
    throw new CoveError('store-conflict', `too many sandboxes are being created in project ${project} at once`)
  }

  /** After a compare failed: the project or the name is not to be had (an error), or the slot is not (try another). */
  async #explainConflict(project: string, name: string | undefined, slotName: string): Promise<void> {
    const { ledger } = this.#core
    if ((await ledger.read(closingKey(project))) !== undefined) {
      throw projectClosing(project)
    }
    if (name !== undefined) {
      const holder = await ledger.read(nameKey(project, name))
      if (holder !== undefined) this.#checkNameFree(project, name, decodeReservation(holder.key, holder.value).sandbox)
    }
    const holder = await ledger.read(slotName)
    if (holder !== undefined) await ledger.refresh(decodeReservation(slotName, holder.value).sandbox)
  }

  #checkNameFree(project: string, name: string, holder: SandboxId | undefined): void {
    if (holder === undefined) return
    throw new CoveError(
      'already-exists',
      `there is a sandbox named ${JSON.stringify(name)} in project ${project} already`,
      { name, sandbox: holder },
      { fix: `Choose another name, or use or delete sandbox ${holder}.` },
    )
  }

  #pickSlot(project: string): number {
    const { sandboxesPerProject: limit } = this.#core.limits
    const slots = this.#core.view.slots(project)
    if (slots.size < limit) {
      for (let slot = 0; slot < limit; slot++) {
        if (!slots.has(slot) && !this.#taken.has(slotKey(project, slot))) return slot
      }
    }
    throw new CoveError('quota-exceeded', `project ${project} has ${limit} live sandboxes, which is its limit`, {
      project,
      limit,
    })
  }

  #specify(id: SandboxId, project: string, request: CreateRequest, resolved: Resolved): SandboxSpec {
    const { clock, defaults } = this.#core
    const limits = { ...defaults.limits, ...resolved.limits }
    const { memory, spec } = resolved
    const wanted = { limits, network: request.network, volumes: spec.volumes }
    return {
      id,
      project,
      ...(request.name === undefined ? {} : { name: request.name }),
      ...resolved.spec,
      ...(request.isolation === undefined ? {} : { isolation: request.isolation }),
      ...(request.driver === undefined ? {} : { driver: request.driver }),
      limits,
      ...(memory === undefined ? {} : { memory: fitMemory(memory, wanted) }),
      network: request.network,
      labels: request.labels,
      idleTimeout: request.idleTimeout ?? defaults.idleTimeoutMs,
      lifetime: request.lifetime ?? defaults.lifetimeMs,
      ...(request.onIdle === undefined ? {} : { onIdle: request.onIdle }),
      ...(request.autoResume === undefined ? {} : { autoResume: request.autoResume }),
      createdAt: clock.now(),
    }
  }
}

function firstStatus(spec: SandboxSpec): SandboxStatus {
  return {
    state: 'creating',
    incarnation: 1,
    changedAt: spec.createdAt,
    limits: [],
    ...(spec.lifetime === 'never' ? {} : { deadline: spec.createdAt + spec.lifetime }),
  }
}
