import { CoveError, newVolumeId, type Limit, type SandboxId, type VolumeId, type VolumeInfo } from '@cove/domain'
import type { Scope } from '../auth/principal.ts'
import type { NamedRecords } from '../named-records.ts'
import type { Core } from '../sandboxes/core.ts'
import { bad, checkLabels } from '../sandboxes/request.ts'
import type { VolumeRecord } from './volume-record.ts'

export interface NewVolume {
  readonly name: string
  /** Required; absent: as much as the disk has, or as the source has. */
  readonly sizeBytes?: number
  readonly labels: Readonly<Record<string, string>>
  /** Id or name of a volume whose content it gets. */
  readonly source?: string
  readonly readOnly: boolean
}

/** A record with what the node and the sandboxes say of it now. */
export interface VolumeView {
  readonly record: VolumeRecord
  readonly usedBytes: number
  readonly sandboxes: readonly SandboxId[]
}

const MOST_VOLUMES = 1_000
const SMALLEST_BYTES = 16 * 1024 * 1024

/** Directories that outlive sandboxes, for the doors. */
export class Volumes {
  readonly #core: Core
  readonly #records: NamedRecords<VolumeRecord>
  /** What this server is making. */
  readonly #underWay = new Set<string>()

  constructor(core: Core) {
    this.#core = core
    this.#records = core.volumes.records
  }

  async create(scope: Scope, request: NewVolume, signal: AbortSignal): Promise<VolumeView> {
    refuseTokens(scope)
    const { name, labels, sizeBytes, readOnly } = request
    this.#records.checkName(name)
    checkLabels(labels)
    checkSize(request)
    const { project } = scope
    if ((await this.#records.list(project)).length >= MOST_VOLUMES) {
      throw new CoveError('quota-exceeded', `project ${project} has ${MOST_VOLUMES} volumes, the most it may`, {
        project,
      })
    }
    const source = request.source === undefined ? undefined : await this.#ready(project, request.source)
    const { node, clock, random } = this.#core
    const draft: VolumeRecord = {
      id: newVolumeId(random),
      project,
      name,
      enforced: false,
      readOnly,
      ...(source === undefined ? {} : { source: source.id }),
      createdAt: clock.now(),
      labels,
      node: node.name,
      state: 'making',
    }
    this.#underWay.add(draft.id)
    try {
      return await this.#make(draft, source, sizeBytes, signal)
    } finally {
      this.#underWay.delete(draft.id)
    }
  }

  /** Written down before it begins, so that whatever happens can be found and removed. */
  async #make(
    draft: VolumeRecord,
    source: VolumeRecord | undefined,
    sizeBytes: number | undefined,
    signal: AbortSignal,
  ): Promise<VolumeView> {
    const { node } = this.#core
    await this.#records.add(draft)
    try {
      const size: Limit | undefined = sizeBytes === undefined ? undefined : { value: sizeBytes, required: true }
      const info =
        source === undefined
          ? await node.volumes.create(draft.id, size)
          : await node.volumes.copy(source.id, draft.id, signal)
      const record: VolumeRecord = {
        ...draft,
        state: 'ready',
        ...(info.size === undefined ? {} : { sizeBytes: info.size.value, enforced: info.size.enforced }),
      }
      await this.#records.replace(await this.#records.get(draft.project, draft.id), record)
      return this.#viewOf(record, info)
    } catch (error) {
      await this.#removeLater(draft)
      throw CoveError.from(error, 'driver-failed')
    }
  }

  async get(scope: Scope, ref: string): Promise<VolumeView> {
    refuseTokens(scope)
    const { value } = await this.#records.get(scope.project, ref)
    return this.#viewOf(value, (await this.#held()).get(value.id))
  }

  /** By name. */
  async list(scope: Scope): Promise<readonly VolumeView[]> {
    refuseTokens(scope)
    const held = await this.#held()
    const records = (await this.#records.list(scope.project)).filter(({ state }) => state === 'ready')
    return records.toSorted((a, b) => (a.name < b.name ? -1 : 1)).map((one) => this.#viewOf(one, held.get(one.id)))
  }

  /** `wrong-state` while a sandbox uses it. Idempotent for ids; a name that is not there is `volume-not-found`. */
  async delete(scope: Scope, ref: string): Promise<void> {
    refuseTokens(scope)
    const entry = await this.#records.find(scope.project, ref)
    if (entry === undefined) {
      if (!this.#records.isId(ref)) await this.#records.get(scope.project, ref)
      return
    }
    this.#refuseInUse(entry.value)
    // From here on no create gets it; what got it before is seen below.
    const doomed: VolumeRecord = { ...entry.value, state: 'deleting' }
    if (entry.value.state !== 'deleting') await this.#records.replace(entry, doomed)
    await this.#finishDelete(doomed)
  }

  /** A sandbox that got it at the last moment keeps it. */
  async #finishDelete(doomed: VolumeRecord): Promise<void> {
    try {
      this.#refuseInUse(doomed)
      await this.#remove(doomed)
    } catch (error) {
      if (CoveError.from(error).code === 'wrong-state') {
        await this.#records.replace(await this.#records.get(doomed.project, doomed.id), { ...doomed, state: 'ready' })
      }
      throw error
    }
  }

  /** Removes what was cut off by a server that died. */
  async sweep(): Promise<void> {
    for (const record of await this.#records.list()) {
      if (record.state === 'deleting') await this.#tried(record, () => this.#finishDelete(record))
      if (record.state === 'making' && !this.#underWay.has(record.id)) await this.#removeLater(record)
    }
  }

  async #ready(project: string, ref: string): Promise<VolumeRecord> {
    const { value } = await this.#records.get(project, ref)
    if (value.state === 'ready') return value
    throw new CoveError('wrong-state', `volume ${ref} is ${value.state}`, { volume: ref, state: value.state })
  }

  async #held(): Promise<ReadonlyMap<VolumeId, VolumeInfo>> {
    return new Map((await this.#core.node.volumes.list()).map((info) => [info.id, info]))
  }

  #viewOf(record: VolumeRecord, info: VolumeInfo | undefined): VolumeView {
    return { record, usedBytes: info?.usedBytes ?? 0, sandboxes: this.#usersOf(record.id) }
  }

  #usersOf(id: VolumeId): readonly SandboxId[] {
    return [...this.#core.view.entries()]
      .filter(({ spec, status }) => status.state !== 'failed' && spec.volumes.some(({ volume }) => volume === id))
      .map(({ spec }) => spec.id)
  }

  #refuseInUse({ id, name }: VolumeRecord): void {
    const [user, ...others] = this.#usersOf(id)
    if (user === undefined) return
    const more = others.length === 0 ? '' : ` and ${others.length} more`
    throw new CoveError(
      'wrong-state',
      `volume ${name} is used by sandbox ${user}${more}`,
      { volume: id, sandbox: user },
      { fix: 'Delete those sandboxes first.' },
    )
  }

  async #remove(record: VolumeRecord): Promise<void> {
    await this.#core.node.volumes.remove(record.id)
    await this.#records.remove(record)
  }

  /** What cannot be removed now is found by the sweep. */
  #removeLater(record: VolumeRecord): Promise<void> {
    return this.#tried(record, () => this.#remove(record))
  }

  async #tried(record: VolumeRecord, work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      const { code, message } = CoveError.from(error)
      this.#core.log.warn('a volume was not removed', { volume: record.id, code, error: message })
    }
  }
}

function checkSize({ sizeBytes, source }: NewVolume): void {
  if (sizeBytes === undefined) return
  if (source !== undefined) throw bad('sizeBytes', 'cannot be chosen for a copy: it has the size of its source')
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < SMALLEST_BYTES)
    throw bad('sizeBytes', `must be at least ${SMALLEST_BYTES}`)
}

/** A token for one sandbox reaches nothing that others use. */
function refuseTokens({ sandbox }: Scope): void {
  if (sandbox === undefined) return
  throw new CoveError('permission-denied', 'a token for one sandbox sees no volumes and makes none', { sandbox })
}
