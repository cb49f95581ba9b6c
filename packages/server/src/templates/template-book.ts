import {
  CoveError,
  formatSource,
  readsNode,
  type Compare,
  type Op,
  type Origin,
  type SnapshotId,
  type Store,
} from '@cove/domain'
import { collection, jsonCodec, type Collection, type Entry } from '@cove/store'
import type { Scope } from '../auth/principal.ts'
import type { Resolved } from '../sandboxes/resolve.ts'
import { formatTemplateName, parseTemplateRef, type TemplateName } from './template-name.ts'
import { parseBuildRecord, parseTemplateRecord, type BuildRecord, type TemplateRecord } from './template-record.ts'

/** The records of templates and of their builds, and what a name means. */
export class TemplateBook {
  readonly #store: Store
  readonly #templates: Collection<TemplateRecord>
  readonly #builds: Collection<BuildRecord>

  constructor(store: Store) {
    this.#store = store
    this.#templates = collection(store, 'template/record/', jsonCodec(parseTemplateRecord))
    this.#builds = collection(store, 'template/build/', jsonCodec(parseBuildRecord))
  }

  /** What a sandbox that is made of it gets. */
  async resolve(scope: Scope, text: string): Promise<Resolved> {
    const { from, record } = await this.origin(scope, text, 'template')
    const start = record?.value.start
    return {
      spec: { template: text, from, volumes: [], env: {}, ...(start === undefined ? {} : { start }) },
      limits: record?.value.limits ?? {},
      ...(record?.value.memory === undefined ? {} : { memory: record.value.memory }),
      compare: record === undefined ? [] : [this.#templates.unchanged(record)],
    }
  }

  /** What a name or a source means now. */
  async origin(
    scope: Scope,
    text: string,
    field: string,
  ): Promise<{ readonly from: Origin; readonly record?: Entry<TemplateRecord> }> {
    const ref = parseTemplateRef(text, field)
    if (ref.kind === 'template') {
      const record = await this.get(scope.project, ref.name)
      return { from: { kind: 'image', image: record.value.image }, record }
    }
    if (ref.source.kind === 'host') return { from: { kind: 'host' } }
    if (readsNode(ref.source.kind) && scope.operator !== true) {
      throw new CoveError(
        'permission-denied',
        `${ref.source.kind}: reads files of the node, which is for its operator`,
        { field },
        { fix: 'Ask the operator to build a template of it, or use oci:, debian: or a template.' },
      )
    }
    return { from: { kind: 'source', source: formatSource(ref.source) } }
  }

  /** `template-not-found` when it is not there. */
  async get(project: string, name: TemplateName): Promise<Entry<TemplateRecord>> {
    const entry = await this.#templates.get(idOf(project, name))
    if (entry !== undefined) return entry
    throw templateNotFound(formatTemplateName(name))
  }

  find(project: string, name: TemplateName): Promise<Entry<TemplateRecord> | undefined> {
    return this.#templates.get(idOf(project, name))
  }

  /** By name and tag; of one project, or of all. */
  async list(project?: string): Promise<readonly TemplateRecord[]> {
    const { entries } = await this.#templates.all(project === undefined ? '' : `${project}/`)
    return entries.map(({ value }) => value)
  }

  /** Says of a template's memory that a sandbox could not go on from it. Nobody waits for that, and it may fail. */
  async tellProblem(project: string, text: string, snapshot: SnapshotId, problem: string): Promise<void> {
    const ref = parseTemplateRef(text, 'template')
    const entry = ref.kind === 'template' ? await this.find(project, ref.name) : undefined
    const memory = entry?.value.memory
    if (entry === undefined || memory?.snapshot !== snapshot || memory.problem === problem) return
    const told: TemplateRecord = { ...entry.value, memory: { ...memory, problem: problem.slice(0, 1_000) } }
    await this.#store.txn([this.#templates.unchanged(entry)], [this.#templates.put(idOf(project, told), told)])
  }

  async remove({ project, ...name }: Pick<TemplateRecord, 'project' | 'name' | 'tag'>): Promise<void> {
    await this.#store.txn([], [this.#templates.delete(idOf(project, name))])
  }

  build(id: string): Promise<Entry<BuildRecord> | undefined> {
    return this.#builds.get(id)
  }

  async builds(): Promise<readonly BuildRecord[]> {
    const { entries } = await this.#builds.all()
    return entries.map(({ value }) => value)
  }

  async putBuild(record: BuildRecord, also: readonly Compare[] = []): Promise<boolean> {
    return (await this.#store.txn(also, [this.#builds.put(record.id, record)])).ok
  }

  async removeBuild(id: string): Promise<void> {
    await this.#store.txn([], [this.#builds.delete(id)])
  }

  /** The build is done and the name means its image from now on: both, or neither. */
  async finish(build: BuildRecord, template: TemplateRecord): Promise<void> {
    const ops: Op[] = [
      this.#builds.put(build.id, build),
      this.#templates.put(idOf(template.project, template), template),
    ]
    await this.#store.txn([], ops)
  }
}

const idOf = (project: string, { name, tag }: TemplateName): string => `${project}/${name}/${tag}`

export function templateNotFound(name: string): CoveError {
  return new CoveError(
    'template-not-found',
    `there is no template ${JSON.stringify(name.slice(0, 80))}`,
    { field: 'template' },
    {
      fix: `List the templates with \`cove template ls\`, or build one with \`cove template build\`; an image of a registry is written oci:${name.slice(0, 80)}.`,
    },
  )
}
