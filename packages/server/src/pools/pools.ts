import { CoveError, parseAllow, type PoolReport, type PoolSpec, type Store } from '@cove/domain'
import type { Collection, Entry } from '@cove/store'
import type { Scope } from '../auth/principal.ts'
import { refuseTokens } from '../auth/refuse-tokens.ts'
import { closingKey, projectClosing } from '../identity/records.ts'
import type { Core } from '../sandboxes/core.ts'
import { bad, checkLimits } from '../sandboxes/request.ts'
import { fitMemory } from '../templates/fit-memory.ts'
import { resolveCreate } from '../sandboxes/resolve.ts'
import { poolRecords, type PoolRecord } from './pool-record.ts'

export type PoolWish = Omit<PoolRecord, 'project' | 'operator'>

export interface PoolView {
  readonly record: PoolRecord
  /** Absent when the node does not have it (yet). */
  readonly report?: PoolReport
  /** Why the node cannot be told of it, for example a template that is gone. */
  readonly problem?: string
}

const NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
const MOST_POOLS = 64
const MOST_MACHINES = 64
/** A template may come to mean another image; pools follow in this time. Where there is none, others may make one. */
const FOLLOW_MS = 30_000
const IDLE_MS = 10 * 60_000

/** What is to be made ahead, for the doors; the node is told whenever that changes. */
export class Pools {
  readonly #core: Core
  readonly #store: Store
  readonly #records: Collection<PoolRecord>
  readonly #problems = new Map<string, string>()
  #applying: Promise<void> = Promise.resolve()
  #count = 0
  /** Ends the long sleep of a server without pools. */
  #wake = new AbortController()

  constructor(core: Core, store: Store) {
    this.#core = core
    this.#store = store
    this.#records = poolRecords(store)
  }

  /** Makes it or changes it. `template-not-found` and the like when nothing could be made of it. */
  async set(scope: Scope, wish: PoolWish): Promise<PoolView> {
    refuseTokens(scope)
    check(wish)
    const record: PoolRecord = {
      ...wish,
      project: scope.project,
      ...(scope.operator === true ? { operator: true } : {}),
    }
    await this.#specOf(record)
    const { entries } = await this.#records.all()
    this.#checkRoom(record, entries)
    const open = { key: closingKey(scope.project), absent: true as const }
    const { ok } = await this.#store.txn([open], [this.#records.put(keyOf(record), record)])
    if (!ok) throw projectClosing(scope.project)
    await this.apply()
    const [view] = (await this.list(scope)).filter(({ record: { name } }) => name === record.name)
    return view ?? { record }
  }

  /** By name. */
  async list(scope: Scope): Promise<readonly PoolView[]> {
    refuseTokens(scope)
    const [{ entries }, reports] = await Promise.all([
      this.#records.all(`${scope.project}/`),
      this.#core.node.pools.list(),
    ])
    return entries.map(({ id, value }) => {
      const report = reports.find(({ spec }) => spec.name === id)
      const problem = this.#problems.get(id)
      return {
        record: value,
        ...(report === undefined ? {} : { report }),
        ...(problem === undefined ? {} : { problem }),
      }
    })
  }

  /** Idempotent. */
  async delete(scope: Scope, name: string): Promise<void> {
    refuseTokens(scope)
    await this.#store.txn([], [this.#records.delete(keyOf({ project: scope.project, name }))])
    await this.apply()
  }

  /** Tells the node what the records say. One after the other, so that the last one holds. */
  apply(): Promise<void> {
    const applied = this.#applying.then(() => this.#apply())
    this.#applying = applied.catch(() => undefined)
    return applied
  }

  /** Runs until the signal aborts. */
  async follow(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#core
    while (!signal.aborted) {
      await this.apply().catch((error: unknown) => {
        log.warn('the node was not told of its pools', { error: CoveError.from(error).message })
      })
      this.#wake = new AbortController()
      const pause = this.#count === 0 ? IDLE_MS : FOLLOW_MS
      await clock.sleep(pause, AbortSignal.any([signal, this.#wake.signal])).catch(() => undefined)
    }
    await this.#applying
  }

  /** Machines that wait are no fewer than those in use: the pools of a project have no more than it may have live. */
  #checkRoom(record: PoolRecord, entries: readonly Entry<PoolRecord>[]): void {
    const others = entries.filter(({ id }) => id !== keyOf(record))
    if (others.length >= MOST_POOLS) {
      throw new CoveError('limit-reached', `there are ${MOST_POOLS} pools, which is the limit`, { limit: MOST_POOLS })
    }
    const { sandboxesPerProject: limit } = this.#core.limits
    const own = others.filter(({ value }) => value.project === record.project)
    const machines = own.reduce((sum, { value }) => sum + value.max, record.max)
    if (machines <= limit) return
    throw new CoveError(
      'quota-exceeded',
      `the pools of project ${record.project} would make ${machines} machines ahead; its limit is ${limit}`,
      { project: record.project, limit },
      { fix: 'Use a smaller max, or delete another pool.' },
    )
  }

  async #apply(): Promise<void> {
    const { entries } = await this.#records.all()
    if (this.#count === 0 && entries.length > 0) this.#wake.abort()
    this.#count = entries.length
    const specs: PoolSpec[] = []
    for (const { id, value } of entries) {
      try {
        specs.push(await this.#specOf(value))
        this.#problems.delete(id)
      } catch (error) {
        this.#problems.set(id, CoveError.from(error).message)
      }
    }
    await this.#core.node.pools.set(specs)
  }

  /** A create that says as much as the pool does asks for exactly this. */
  async #specOf(record: PoolRecord): Promise<PoolSpec> {
    const { project, operator = false, template, driver, limits, network, min, max } = record
    const resolved = await resolveCreate(
      this.#core,
      { project, operator },
      { template, limits, network, env: {}, labels: {} },
    )
    const { memory, spec } = resolved
    const limitsOfAll = { ...this.#core.defaults.limits, ...resolved.limits }
    return {
      name: keyOf(record),
      from: resolved.spec.from,
      ...(driver === undefined ? {} : { driver }),
      ...(memory === undefined
        ? {}
        : { memory: fitMemory(memory, { limits: limitsOfAll, network, volumes: spec.volumes }) }),
      limits: limitsOfAll,
      network,
      min,
      max,
    }
  }
}

const keyOf = ({ project, name }: Pick<PoolRecord, 'project' | 'name'>): string => `${project}/${name}`

function check({ name, limits, network, min, max }: PoolWish): void {
  if (!NAME.test(name)) throw bad('name', 'must be 1 to 63 of a-z, 0-9 and dash, with a letter or digit at both ends')
  if (!Number.isInteger(min) || min < 0 || min > MOST_MACHINES) throw bad('min', `must be 0 to ${MOST_MACHINES}`)
  if (!Number.isInteger(max) || max < 1 || max > MOST_MACHINES) throw bad('max', `must be 1 to ${MOST_MACHINES}`)
  if (max < min) throw bad('max', 'must not be less than min')
  checkLimits(limits)
  if (network.kind === 'internet') parseAllow(network.allow)
}
