import { CoveError, newSnapshotId, type Sandbox, type SavedSnapshot } from '@cove/domain'
import type { Scope } from '../auth/principal.ts'
import type { Core } from '../sandboxes/core.ts'
import { checkLabels, type CreateRequest } from '../sandboxes/request.ts'
import type { Sandboxes } from '../sandboxes/sandboxes.ts'
import { resolvedOf, type SnapshotRecords } from './snapshot-book.ts'
import type { SnapshotRecord } from './snapshot-record.ts'

export type SnapshotKind = SnapshotRecord['kind']

export interface TakeSnapshot {
  readonly kind: SnapshotKind
  readonly name?: string
  readonly labels: Readonly<Record<string, string>>
}

export interface ForkRequest {
  /** 1 to 64. */
  readonly count: number
  /** Default: with memory where the driver can. */
  readonly kind?: SnapshotKind
  readonly labels: Readonly<Record<string, string>>
}

/** One archive, as it is sent. */
export interface Exported {
  readonly record: SnapshotRecord
  /** `host`: only what was written over the programs of a host; no engine but Cove makes something of it. */
  readonly base: 'scratch' | 'host'
  readonly content: AsyncIterable<Uint8Array>
}

export interface Forked {
  readonly sandboxes: readonly Sandbox[]
  readonly kind: SnapshotKind
}

const MOST_FORKS = 64
const MOST_SNAPSHOTS = 1_000

/** Saved states of sandboxes, for the doors. */
export class Snapshots {
  readonly #core: Core
  readonly #sandboxes: Sandboxes
  readonly #records: SnapshotRecords
  /** What this server is about to save, or to remove after a fork. */
  readonly #underWay = new Set<string>()

  constructor(core: Core, sandboxes: Sandboxes) {
    this.#core = core
    this.#sandboxes = sandboxes
    this.#records = core.snapshots.records
  }

  /** The sandbox goes on afterwards; activity is what it counts as. */
  async create(scope: Scope, ref: string, request: TakeSnapshot, signal: AbortSignal): Promise<SnapshotRecord> {
    refuseTokens(scope)
    checkLabels(request.labels)
    if (request.name !== undefined) this.#records.checkName(request.name)
    const sandbox = await this.#sandboxes.running(scope, ref)
    return await this.#save(sandbox, request, false, signal)
  }

  /** Takes what was exported from another place, or any image. */
  async import(
    scope: Scope,
    archive: AsyncIterable<Uint8Array>,
    request: Omit<TakeSnapshot, 'kind'>,
    signal: AbortSignal,
  ): Promise<SnapshotRecord> {
    refuseTokens(scope)
    checkLabels(request.labels)
    const { node, clock, random } = this.#core
    const id = newSnapshotId(random)
    const draft: SnapshotRecord = {
      id,
      project: scope.project,
      ...(request.name === undefined ? {} : { name: request.name }),
      kind: 'filesystem',
      state: 'saving',
      bytes: 0,
      createdAt: clock.now(),
      labels: request.labels,
      node: node.name,
      spec: { template: 'import', env: {}, limits: {} },
    }
    return await this.#finish(draft, async () => {
      const info = await node.images.import(archive, `snapshot/${id}`, signal)
      return { image: info.id, bytes: info.layers.reduce((sum, { bytes }) => sum + bytes, 0) }
    })
  }

  /** One archive with everything that is below it too. */
  async export(scope: Scope, ref: string, format: 'oci' | 'docker', signal: AbortSignal): Promise<Exported> {
    const record = await this.get(scope, ref)
    const { image, kind, state } = record
    if (state !== 'ready') {
      throw new CoveError('wrong-state', `snapshot ${ref} is still being saved`, { snapshot: record.id })
    }
    if (image === undefined) {
      const fix = 'Create a sandbox from it and take a `filesystem` snapshot of that.'
      throw new CoveError('unsupported', `a ${kind} snapshot cannot be exported; only files can`, {}, { fix })
    }
    const { images } = this.#core.node
    const stored = (await images.list()).find(({ info }) => info.id === image)
    if (stored === undefined) throw new CoveError('image-not-found', `the image of snapshot ${ref} is gone`)
    return { record, base: stored.info.base, content: await images.export(image, format, signal) }
  }

  async get(scope: Scope, ref: string): Promise<SnapshotRecord> {
    refuseTokens(scope)
    const { value } = await this.#records.get(scope.project, ref)
    if (value.hidden !== true) return value
    throw new CoveError('snapshot-not-found', `there is no snapshot ${JSON.stringify(ref)}`)
  }

  /** Newest first. */
  async list(scope: Scope, sandbox?: string): Promise<readonly SnapshotRecord[]> {
    refuseTokens(scope)
    const of = sandbox === undefined ? undefined : await this.#idOf(scope, sandbox)
    const records = (await this.#records.list(scope.project)).filter(
      (record) => record.hidden !== true && record.state === 'ready' && (of === undefined || record.sandbox === of),
    )
    return records.toSorted((a, b) => b.createdAt - a.createdAt || (a.id < b.id ? -1 : 1))
  }

  /** Idempotent for ids; a name that is not there is `snapshot-not-found`. */
  async delete(scope: Scope, ref: string): Promise<void> {
    refuseTokens(scope)
    const entry = await this.#records.find(scope.project, ref)
    if (entry !== undefined) await this.#remove(entry.value)
    else if (!this.#records.isId(ref)) await this.#records.get(scope.project, ref)
  }

  /**
   * Children that go on from where the sandbox is now: its template, limits, network, environment and timeouts, no
   * name. All of them or none.
   */
  async fork(scope: Scope, ref: string, request: ForkRequest, signal: AbortSignal): Promise<Forked> {
    refuseTokens(scope)
    const { count, labels } = request
    if (!Number.isInteger(count) || count < 1 || count > MOST_FORKS) {
      throw new CoveError('invalid-argument', `count must be 1 to ${MOST_FORKS}`, { field: 'count' })
    }
    checkLabels(labels)
    const parent = await this.#sandboxes.running(scope, ref)
    const saved = await this.#saveForFork(parent, request, signal)
    try {
      const sandboxes = await this.#makeChildren(scope, parent, saved, count, labels, signal)
      return { sandboxes, kind: saved.kind }
    } finally {
      await this.#removeLater(saved)
    }
  }

  /** Removes what was cut off: by a server that died, or a fork that did not end. */
  async sweep(): Promise<void> {
    for (const record of await this.#records.list()) {
      const transient = record.state === 'saving' || record.hidden === true
      if (transient && !this.#underWay.has(record.id)) await this.#removeLater(record)
    }
  }

  async #saveForFork(parent: Sandbox, request: ForkRequest, signal: AbortSignal): Promise<SnapshotRecord> {
    const take = (kind: SnapshotKind) => this.#save(parent, { kind, labels: {} }, true, signal)
    if (request.kind !== undefined) return await take(request.kind)
    try {
      return await take('memory')
    } catch (error) {
      if (CoveError.from(error).code !== 'unsupported') throw error
      return await take('filesystem')
    }
  }

  async #makeChildren(
    scope: Scope,
    parent: Sandbox,
    saved: SnapshotRecord,
    count: number,
    labels: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<readonly Sandbox[]> {
    const { spec, status } = parent
    const request: CreateRequest = {
      limits: spec.limits,
      network: spec.network,
      env: {},
      labels: { ...spec.labels, ...labels },
      idleTimeout: spec.idleTimeout,
      lifetime: spec.lifetime,
      ...(spec.onIdle === undefined ? {} : { onIdle: spec.onIdle }),
      ...(spec.autoResume === undefined ? {} : { autoResume: spec.autoResume }),
      ...(status.driver === undefined ? {} : { driver: status.driver }),
    }
    const resolved = resolvedOf(saved, this.#records)
    // Required limits of the parent are required of the children too; defaults stay defaults.
    const resolve = async () => ({ ...resolved, limits: spec.limits })
    const made = await Promise.allSettled(
      Array.from({ length: count }, () => this.#sandboxes.create(scope, request, signal, resolve)),
    )
    const failed = made.find((one) => one.status === 'rejected')
    if (failed === undefined) return made.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
    // Those that have failed are told of by this error, and stay as little as the others.
    const there = made.flatMap((one) => {
      const id = one.status === 'fulfilled' ? one.value.spec.id : CoveError.from(one.reason).context['sandbox']
      return typeof id === 'string' ? [id] : []
    })
    await Promise.allSettled(there.map((id) => this.#sandboxes.delete(scope, id)))
    throw CoveError.from(failed.reason)
  }

  async #save(
    { spec, status }: Sandbox,
    { kind, name, labels }: TakeSnapshot,
    hidden: boolean,
    signal: AbortSignal,
  ): Promise<SnapshotRecord> {
    const { node, clock, random, activity } = this.#core
    const draft: SnapshotRecord = {
      id: newSnapshotId(random),
      project: spec.project,
      ...(name === undefined ? {} : { name }),
      kind,
      state: 'saving',
      ...(hidden ? { hidden } : {}),
      sandbox: spec.id,
      bytes: 0,
      createdAt: clock.now(),
      labels,
      node: status.node ?? node.name,
      spec: {
        template: spec.template,
        env: spec.env,
        ...(spec.user === undefined ? {} : { user: spec.user }),
        ...(spec.workdir === undefined ? {} : { workdir: spec.workdir }),
        ...(spec.start === undefined ? {} : { start: spec.start }),
        limits: spec.limits,
      },
    }
    const release = activity.hold(spec.id)
    try {
      return await this.#finish(draft, () => node.snapshot(spec.id, status.incarnation, { id: draft.id, kind }, signal))
    } finally {
      release()
    }
  }

  /** Written down before it begins, so that whatever happens can be found and removed. */
  async #finish(draft: SnapshotRecord, save: () => Promise<SavedSnapshot>): Promise<SnapshotRecord> {
    const others = await this.#records.list(draft.project)
    if (others.length >= MOST_SNAPSHOTS) {
      throw new CoveError(
        'quota-exceeded',
        `project ${draft.project} has ${MOST_SNAPSHOTS} snapshots, the most it may`,
        {
          project: draft.project,
        },
      )
    }
    this.#underWay.add(draft.id)
    try {
      await this.#records.add(draft)
    } catch (error) {
      this.#underWay.delete(draft.id)
      throw error
    }
    try {
      const { bytes, driver, image, details } = await save()
      const ready: SnapshotRecord = {
        ...draft,
        state: 'ready',
        bytes,
        ...(driver === undefined ? {} : { driver }),
        ...(image === undefined ? {} : { image }),
        ...(details === undefined ? {} : { details }),
      }
      await this.#records.replace(await this.#records.get(draft.project, draft.id), ready)
      if (draft.hidden !== true) this.#underWay.delete(draft.id)
      return ready
    } catch (error) {
      await this.#removeLater(draft)
      throw CoveError.from(error, 'driver-failed')
    }
  }

  /** The node first: a record without a snapshot says so when it is used, a snapshot without a record stays for ever. */
  async #remove(record: SnapshotRecord): Promise<void> {
    await this.#core.node.snapshots.remove(record.id)
    await this.#records.remove(record)
  }

  /** What cannot be removed now is found by the sweep. */
  async #removeLater(record: SnapshotRecord): Promise<void> {
    try {
      await this.#remove(record)
    } catch (error) {
      const { code, message } = CoveError.from(error)
      this.#core.log.warn('a snapshot was not removed', { snapshot: record.id, code, error: message })
    } finally {
      this.#underWay.delete(record.id)
    }
  }

  async #idOf(scope: Scope, ref: string): Promise<string> {
    return (await this.#sandboxes.get(scope, ref)).spec.id
  }
}

/** A token for one sandbox reaches nothing that others are made of. */
function refuseTokens({ sandbox }: Scope): void {
  if (sandbox === undefined) return
  throw new CoveError('permission-denied', 'a token for one sandbox sees no snapshots and makes none', { sandbox })
}
