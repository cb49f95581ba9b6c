import { CoveError, randomId, roleAtLeast, type Clock, type Random } from '@cove/domain'
import { hashKey } from '../auth/key-ring.ts'
import { requireRole, type Principal } from '../auth/principal.ts'
import type { AccessStore } from './access-store.ts'
import type { KnownKey } from './access-view.ts'
import { projectNotFound } from './projects.ts'
import { encodeAccess, keyKey, projectKey, type KeyRecord } from './records.ts'
import { checkKey, type NewKey } from './request.ts'

/** Ended keys that one project remembers; the ones that ended first go first. */
const ENDED_KEPT = 200
/** Random bytes of a key. */
const KEY_BYTES = 20
/** Characters of a key that are shown, to tell keys apart: 24 bits of 160. */
const PREFIX_LENGTH = 'cove_'.length + 6
const ATTEMPTS = 8

export interface KeysOptions {
  readonly store: AccessStore
  readonly clock: Clock
  readonly random: Random
  /** Keys of one project that have not ended. */
  readonly limit: number
}

/** The API keys of projects. Admins make and end them; the operator does in every project. */
export class Keys {
  readonly #options: KeysOptions
  /** Keys that are on their way into the store, so that calls at the same time keep the limit too. */
  readonly #coming = new Map<string, number>()

  constructor(options: KeysOptions) {
    this.#options = options
  }

  /** Answers with the key itself too, once. */
  async create(caller: Principal, request: NewKey): Promise<{ readonly record: KeyRecord; readonly secret: string }> {
    requireRole(caller, 'admin')
    requireProject(caller, request.project)
    checkKey(request)
    if (!roleAtLeast(caller.role, request.role)) {
      throw new CoveError('permission-denied', `a key with the role ${caller.role} makes none with ${request.role}`)
    }
    const { store, limit } = this.#options
    const { project: name } = request
    const project = store.view.project(name)
    if (project === undefined) throw projectNotFound(name)
    const coming = this.#coming.get(name) ?? 0
    const live = [...store.view.keysOf(name)].filter(({ record }) => store.view.isLive(record)).length
    if (live + coming >= limit) {
      throw new CoveError(
        'limit-reached',
        `project ${name} has ${limit} keys, which is its limit`,
        { limit },
        {
          fix: 'Revoke keys that are no longer needed.',
        },
      )
    }
    this.#coming.set(name, coming + 1)
    try {
      return await this.#make(request, project.record.id)
    } finally {
      const left = (this.#coming.get(name) ?? 1) - 1
      if (left > 0) this.#coming.set(name, left)
      else this.#coming.delete(name)
    }
  }

  /** Newest first. */
  list(caller: Principal, project: string, includeEnded: boolean): KnownKey[] {
    requireRole(caller, 'admin')
    requireProject(caller, project)
    const { view } = this.#options.store
    if (view.project(project) === undefined) throw projectNotFound(project)
    return [...view.keysOf(project)]
      .filter(({ record }) => includeEnded || view.isLive(record))
      .toSorted((a, b) => b.record.createdAt - a.record.createdAt || (a.record.id < b.record.id ? -1 : 1))
  }

  /** Twice is no error. Keys of other projects do not exist for whoever is not the operator. */
  async revoke(caller: Principal, id: string): Promise<KnownKey> {
    requireRole(caller, 'admin')
    const { store, clock } = this.#options
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const known = store.view.key(id)
      if (known === undefined || !(caller.operator || known.record.project === caller.project)) throw keyNotFound(id)
      if (known.record.revokedAt !== undefined) return known
      const record = { ...known.record, revokedAt: clock.now() }
      const key = keyKey(id)
      if (
        await store.commit([{ key, modRevision: known.revision }], [{ type: 'put', key, value: encodeAccess(record) }])
      ) {
        return store.view.key(id) ?? known
      }
      await store.refresh(key)
    }
    throw new CoveError('store-conflict', `key ${id} is being changed by too many at once`, { key: id })
  }

  async #make({ project, name, role, expiresIn }: NewKey, projectId: string) {
    const { store, clock, random } = this.#options
    const secret = `cove_${Buffer.from(random.bytes(KEY_BYTES)).toString('hex')}`
    const createdAt = clock.now()
    const record: KeyRecord = {
      id: randomId(random),
      project,
      projectId,
      name,
      role,
      hash: hashKey(secret),
      prefix: secret.slice(0, PREFIX_LENGTH),
      createdAt,
      ...(expiresIn === undefined ? {} : { expiresAt: createdAt + Math.floor(expiresIn) }),
    }
    const known = store.view.project(project)
    if (known === undefined) throw projectNotFound(project)
    const made = await store.commit(
      [{ key: projectKey(project), modRevision: known.revision }],
      [
        { type: 'put', key: keyKey(record.id), value: encodeAccess(record) },
        ...this.#tooOld(project).map((key) => ({ type: 'delete' as const, key })),
      ],
    )
    if (made) return { record, secret }
    await store.refresh(projectKey(project))
    throw projectNotFound(project)
  }

  /** Ended keys beyond those that are remembered, a few at a time. */
  #tooOld(project: string): string[] {
    const { view } = this.#options.store
    return [...view.keysOf(project)]
      .map(({ record }) => record)
      .filter((record) => !view.isLive(record))
      .toSorted((a, b) => endedAt(b) - endedAt(a))
      .slice(ENDED_KEPT)
      .slice(0, 100)
      .map(({ id }) => keyKey(id))
  }
}

const endedAt = ({ expiresAt = Infinity, revokedAt = Infinity }: KeyRecord): number => Math.min(expiresAt, revokedAt)

/** Other projects are the operator's only. */
export function requireProject({ operator, project }: Principal, wanted: string): void {
  if (operator || wanted === project) return
  throw new CoveError(
    'permission-denied',
    'this key is for another project',
    {},
    {
      fix: 'Use a key of that project, or leave the project out.',
    },
  )
}

function keyNotFound(id: string): CoveError {
  return new CoveError('key-not-found', `there is no key ${JSON.stringify(id.slice(0, 80))}`)
}
