import { CoveError, randomId, type Clock, type Random } from '@cove/domain'
import type { Principal } from '../auth/principal.ts'
import type { AccessStore } from './access-store.ts'
import { closingKey, encodeAccess, keyKey, projectKey, type ProjectRecord } from './records.ts'
import { checkProject, type NewProject } from './request.ts'

export const DEFAULT_PROJECT = 'default'

/**
 * Milliseconds for which nothing is created in a project that is being deleted or has been. Longer than any create
 * that was let in before; a crash in the middle costs no more than this either.
 */
const CLOSING_MS = 10 * 60_000

export interface ProjectsOptions {
  readonly store: AccessStore
  readonly clock: Clock
  readonly random: Random
  /** Projects at once. */
  readonly limit: number
  /** What the project still has, in words for people; undefined when there is nothing. */
  readonly holdings: (project: string) => Promise<string | undefined>
  /** Forgets what nobody can delete and nobody can find any more. */
  readonly forget: (project: string) => Promise<void>
}

/** The projects. They are the operator's. */
export class Projects {
  readonly #options: ProjectsOptions

  constructor(options: ProjectsOptions) {
    this.#options = options
  }

  /** Makes the project that is there from the first day. */
  async ensureDefault(): Promise<void> {
    const { store } = this.#options
    if (store.view.project(DEFAULT_PROJECT) !== undefined) return
    await this.#write({ name: DEFAULT_PROJECT, description: 'what is made without naming a project' })
  }

  /** `already-exists` when there is one of that name. */
  async create(caller: Principal, request: NewProject): Promise<ProjectRecord> {
    requireOperator(caller)
    checkProject(request)
    const { store, limit } = this.#options
    const { name } = request
    if (store.view.project(name) === undefined && store.view.projectCount >= limit) {
      throw new CoveError('limit-reached', `there are ${limit} projects, which is the limit`, { limit })
    }
    const made = await this.#write(request)
    if (made === undefined) throw new CoveError('already-exists', `there is a project ${name} already`, { name })
    return made
  }

  /** The operator sees all, by name; everybody else the own one. */
  list(caller: Principal): ProjectRecord[] {
    const { view } = this.#options.store
    if (!caller.operator) {
      const own = view.project(caller.project)
      return own === undefined ? [] : [own.record]
    }
    return [...view.projects()].map(({ record }) => record).toSorted((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** `wrong-state` while it has anything that its next namesake would find: sandboxes, volumes, templates and so on. */
  async delete(caller: Principal, name: string): Promise<void> {
    requireOperator(caller)
    const { store, holdings, forget } = this.#options
    if (name === DEFAULT_PROJECT) {
      throw new CoveError(
        'wrong-state',
        'the default project is not deleted',
        { name },
        { fix: 'Delete what is in it.' },
      )
    }
    await store.refresh(projectKey(name))
    const project = store.view.project(name)
    if (project === undefined) throw projectNotFound(name)
    const lease = await store.lease(CLOSING_MS)
    const closing = { type: 'put' as const, key: closingKey(name), value: new Uint8Array([1]), lease }
    // From here on no create gets through its transaction; what got through before is seen below.
    await store.commit([], [closing])
    const held = await holdings(name)
    if (held !== undefined) {
      await store.release(lease)
      throw new CoveError(
        'wrong-state',
        `project ${name} still has ${held}`,
        { name },
        { fix: 'Delete that first; failed sandboxes too.' },
      )
    }
    await forget(name)
    const keys = [...store.view.keysOf(name)].map(({ record }) => keyKey(record.id))
    const same = { key: projectKey(name), modRevision: project.revision }
    if (!(await store.commit([same], [{ type: 'delete', key: projectKey(name) }]))) {
      await store.release(lease)
      throw new CoveError('store-conflict', `project ${name} is being changed by others`, { name })
    }
    await store.remove(keys)
  }

  /** Removes the keys of projects that are gone: what a crash in the middle of a delete left. */
  async sweep(): Promise<void> {
    const { store } = this.#options
    await store.remove([...store.view.orphans()].map(({ record }) => keyKey(record.id)))
  }

  async #write({ name, description }: NewProject): Promise<ProjectRecord | undefined> {
    const { store, clock, random } = this.#options
    const record = { id: randomId(random), name, description, createdAt: clock.now() }
    const key = projectKey(name)
    const made = await store.commit(
      [{ key, absent: true }],
      [
        { type: 'put', key, value: encodeAccess(record) },
        { type: 'delete', key: closingKey(name) },
      ],
    )
    if (made) return record
    await store.refresh(key)
    return undefined
  }
}

export function requireOperator({ operator }: Principal): void {
  if (operator) return
  throw new CoveError(
    'permission-denied',
    'this is for the operator',
    {},
    {
      fix: 'Use the key that was made at the first start: `cove key show` prints it.',
    },
  )
}

export function projectNotFound(name: string): CoveError {
  return new CoveError('project-not-found', `there is no project ${JSON.stringify(name.slice(0, 80))}`)
}
