import { CoveError, type Compare, type ErrorCode, type Op, type Store } from '@cove/domain'
import { collection, jsonCodec, type Collection, type Entry } from '@cove/store'
import { closingKey, projectClosing } from './identity/records.ts'

/** What belongs to a project and can be found by its id or by a name of its own there. */
export interface NamedRecord {
  readonly id: string
  readonly project: string
  readonly name?: string
}

interface Holder {
  readonly id: string
}

/** Names are DNS labels, and never look like an id. */
const NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
const ID = /^[a-z2-7]{16}$/

export interface NamedRecordsOptions<Kind extends NamedRecord> {
  readonly store: Store
  /** What its keys begin with, without a slash. */
  readonly prefix: string
  /** For people: `snapshot`, `volume`. */
  readonly what: string
  readonly notFound: ErrorCode
  readonly parse: (value: unknown) => Kind
}

/** Records of one kind, read from the store whenever they are asked for: they are few, and seldom needed. */
export class NamedRecords<Kind extends NamedRecord> {
  readonly #options: NamedRecordsOptions<Kind>
  readonly #records: Collection<Kind>
  readonly #names: Collection<Holder>

  constructor(options: NamedRecordsOptions<Kind>) {
    this.#options = options
    this.#records = collection(options.store, `${options.prefix}/record/`, jsonCodec(options.parse))
    this.#names = collection(options.store, `${options.prefix}/name/`, jsonCodec(parseHolder))
  }

  /** `already-exists` when its name is taken in its project. `also` holds in the same transaction. */
  async add(record: Kind, also: readonly Compare[] = []): Promise<void> {
    const { id, project, name } = record
    if (name !== undefined) this.checkName(name)
    const compare: Compare[] = [this.#records.absent(id), { key: closingKey(project), absent: true }, ...also]
    const ops: Op[] = [this.#records.put(id, record)]
    if (name !== undefined) {
      const held = `${project}/${name}`
      compare.push(this.#names.absent(held))
      ops.push(this.#names.put(held, { id }))
    }
    const { ok } = await this.#options.store.txn(compare, ops)
    if (ok) return
    if ((await this.#options.store.get(closingKey(project))) !== undefined) throw projectClosing(project)
    const taken = name === undefined ? undefined : await this.#names.get(`${project}/${name}`)
    const { what } = this.#options
    if (taken === undefined) throw new CoveError('store-conflict', `the ${what} ${id} is being made by others`, { id })
    throw new CoveError(
      'already-exists',
      `there is a ${what} named ${JSON.stringify(name)} in project ${project} already`,
      { name: name ?? '', id: taken.value.id },
      { fix: `Choose another name, or delete that ${what}.` },
    )
  }

  /** Whether it can only be an id; one that is gone is no error to whoever removes it. */
  isId(ref: string): boolean {
    return ID.test(ref)
  }

  checkName(name: string): void {
    if (NAME.test(name) && !ID.test(name)) return
    const problem = ID.test(name)
      ? 'looks like an id; add a dash or another character'
      : 'must be 1 to 63 of a-z, 0-9 and dash, with a letter or digit at both ends'
    throw new CoveError('invalid-argument', `name ${problem}`, { field: 'name' })
  }

  /** By id or name; the error that says it is not there otherwise. */
  async get(project: string, ref: string): Promise<Entry<Kind>> {
    const found = await this.find(project, ref)
    if (found !== undefined) return found
    const { what, notFound } = this.#options
    throw new CoveError(notFound, `there is no ${what} ${JSON.stringify(ref.slice(0, 80))}`, {})
  }

  async find(project: string, ref: string): Promise<Entry<Kind> | undefined> {
    if (ref === '' || ref.includes('/') || ref.length > 63) return undefined
    const id = ID.test(ref) ? ref : (await this.#names.get(`${project}/${ref}`))?.value.id
    const entry = id === undefined ? undefined : await this.#records.get(id)
    return entry?.value.project === project ? entry : undefined
  }

  /** Everything of one project, or of all. */
  async list(project?: string): Promise<readonly Kind[]> {
    const { entries } = await this.#records.all()
    return entries.map(({ value }) => value).filter((record) => project === undefined || record.project === project)
  }

  /** A compare that fails once it is gone. */
  exists(id: string): Compare {
    return this.#records.exists(id)
  }

  /** A compare that fails once it has changed. */
  unchanged(entry: Entry<Kind>): Compare {
    return this.#records.unchanged(entry)
  }

  async replace(entry: Entry<Kind>, record: Kind): Promise<void> {
    const { ok } = await this.#options.store.txn(
      [this.#records.unchanged(entry)],
      [this.#records.put(entry.id, record)],
    )
    if (ok) return
    const { what } = this.#options
    throw new CoveError('store-conflict', `the ${what} ${entry.id} is being changed by others`, { id: entry.id })
  }

  /** Idempotent. */
  async remove({ id, project, name }: Kind): Promise<void> {
    const ops: Op[] = [this.#records.delete(id)]
    const compare: Compare[] = []
    const held = name === undefined ? undefined : await this.#names.get(`${project}/${name}`)
    if (held?.value.id === id) {
      compare.push(this.#names.unchanged(held))
      ops.push(this.#names.delete(held.id))
    }
    const { ok } = await this.#options.store.txn(compare, ops)
    // The name has gone to another one meanwhile: that keeps it.
    if (!ok) await this.#options.store.txn([], [this.#records.delete(id)])
  }
}

function parseHolder(value: unknown): Holder {
  if (typeof value === 'object' && value !== null && 'id' in value && typeof value.id === 'string') {
    return { id: value.id }
  }
  throw new TypeError('not the holder of a name')
}
