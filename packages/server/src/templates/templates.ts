import {
  CoveError,
  describeStep,
  type BuildRequest,
  type BuildStep,
  type Limits,
  type Network,
  type StartCommand,
} from '@cove/domain'
import type { Scope } from '../auth/principal.ts'
import { refuseTokens } from '../auth/refuse-tokens.ts'
import type { Template } from '../options.ts'
import { templateNotFound } from './template-book.ts'
import { PIN_PREFIX, pinOf, TemplateBuilds, type BuildParts, type FollowedEvent } from './template-builds.ts'
import { parseTemplateName, parseTemplateRef } from './template-name.ts'
import type { TemplateRecord } from './template-record.ts'

export interface BuildTemplate {
  /** `name` or `name:tag`. */
  readonly name: string
  readonly source: string
  readonly steps: readonly BuildStep[]
  readonly start?: StartCommand
  readonly limits: Limits
  readonly description: string
  readonly noCache: boolean
  readonly driver?: string
  readonly network: Network
  readonly buildLimits: Limits
  /** Keep it with its memory; the network is that of its sandboxes. */
  readonly memory?: { readonly network: Network }
}

export interface TemplatesParts extends BuildParts {
  /** Those that are always there. */
  readonly fixed: readonly Template[]
  /** As the store has it now. */
  readonly hasProject: (name: string) => Promise<boolean>
}

export type KnownTemplate = { readonly fixed: Template } | { readonly record: TemplateRecord }

/** Versions of one project. */
const MOST_TEMPLATES = 1_000

/** Everything that can be asked about templates, for the doors. */
export class Templates {
  readonly #parts: TemplatesParts
  readonly #builds: TemplateBuilds

  constructor(parts: TemplatesParts) {
    this.#parts = parts
    this.#builds = new TemplateBuilds(parts)
  }

  /** Takes up what an earlier server has begun, and lets go of images whose template is gone. */
  async start(): Promise<void> {
    await this.#builds.resume()
    const { book, node, log } = this.#parts
    try {
      const kept = new Set((await book.list()).map(pinOf))
      // A build under way pins its image before its record says so.
      for (const record of await book.builds()) if (record.state === 'building') kept.add(pinOf(record))
      for (const { pins } of await node.images.list()) {
        for (const pin of pins) if (pin.startsWith(PIN_PREFIX) && !kept.has(pin)) await node.images.unpin(pin)
      }
    } catch (thrown) {
      log.warn('images of templates that are gone stay', { error: CoveError.from(thrown).message })
    }
  }

  /** Removes what projects that are gone have left: their templates, and builds with their logs. */
  async sweep(): Promise<void> {
    const { book, hasProject } = this.#parts
    const [templates, builds] = await Promise.all([book.list(), book.builds()])
    const gone = new Set<string>()
    for (const project of new Set([...templates, ...builds].map((record) => record.project))) {
      if (!(await hasProject(project))) gone.add(project)
    }
    for (const { id, project } of builds) if (gone.has(project)) await this.#builds.remove(id)
    for (const record of templates) if (gone.has(record.project)) await this.#remove(record)
  }

  /** Those of every installation first; a token of one sandbox sees no others. */
  async list(scope: Scope): Promise<readonly KnownTemplate[]> {
    const fixed = this.#parts.fixed.map((template) => ({ fixed: template }))
    if (scope.sandbox !== undefined) return fixed
    const records = await this.#parts.book.list(scope.project)
    return [...fixed, ...records.map((record) => ({ record }))]
  }

  async get(scope: Scope, text: string): Promise<KnownTemplate> {
    const fixed = this.#parts.fixed.find(({ name }) => name === text)
    if (fixed !== undefined) return { fixed }
    if (scope.sandbox !== undefined || parseTemplateRef(text, 'name').kind === 'source') throw templateNotFound(text)
    return { record: (await this.#parts.book.get(scope.project, parseTemplateName(text, 'name'))).value }
  }

  /** Answers with the id of the build, which goes on by itself. */
  async build(caller: Scope, wish: BuildTemplate): Promise<string> {
    refuseTokens(caller)
    const name = parseTemplateName(wish.name, 'name')
    if (wish.source === '') throw new CoveError('invalid-argument', 'source is missing', { field: 'source' })
    const { book } = this.#parts
    const { from, record } = await book.origin(caller, wish.source, 'source')
    const known = await book.list(caller.project)
    if (known.length >= MOST_TEMPLATES && (await book.find(caller.project, name)) === undefined) {
      throw new CoveError('limit-reached', `project ${caller.project} has ${MOST_TEMPLATES} templates already`, {
        limit: MOST_TEMPLATES,
      })
    }
    const start = wish.start ?? record?.value.start
    const request: Omit<BuildRequest, 'id'> = {
      from,
      steps: wish.steps,
      network: wish.network,
      limits: { ...this.#parts.limits, ...wish.buildLimits },
      ...(wish.driver === undefined ? {} : { driver: wish.driver }),
      ...(wish.noCache ? { noCache: true } : {}),
      ...(start === undefined ? {} : { start }),
    }
    const plan = {
      project: caller.project,
      ...name,
      source: wish.source,
      description: wish.description,
      ...(start === undefined ? {} : { start }),
      limits: { ...record?.value.limits, ...wish.limits },
      steps: wish.steps.map(describeStep),
      ...(wish.memory === undefined
        ? {}
        : { memoryWish: { ...wish.memory, ...(wish.driver === undefined ? {} : { driver: wish.driver }) } }),
    }
    return await this.#builds.start(plan, request)
  }

  follow(scope: Scope, id: string, offset: number, signal: AbortSignal): AsyncGenerator<FollowedEvent> {
    refuseTokens(scope)
    return this.#builds.follow(scope.project, id, offset, signal)
  }

  async cancel(scope: Scope, id: string): Promise<void> {
    refuseTokens(scope)
    await this.#builds.cancel(scope.project, id)
  }

  /** Idempotent. Sandboxes that were made of it keep their image. */
  async delete(scope: Scope, text: string): Promise<void> {
    refuseTokens(scope)
    if (this.#parts.fixed.some(({ name }) => name === text)) {
      throw new CoveError('invalid-argument', `the template ${text} is always there`, { field: 'name' })
    }
    const entry = await this.#parts.book.find(scope.project, parseTemplateName(text, 'name'))
    if (entry !== undefined) await this.#remove(entry.value)
  }

  hasContext(scope: Scope, digest: string): Promise<boolean> {
    refuseTokens(scope)
    return this.#parts.node.builds.hasContext(digest)
  }

  putContext(scope: Scope, digest: string, tar: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
    refuseTokens(scope)
    return this.#parts.node.builds.putContext(digest, tar, signal)
  }

  /** Names of drivers that machines can be made with now. */
  async drivers(signal: AbortSignal): Promise<readonly string[]> {
    const drivers = await this.#parts.node.drivers(signal)
    return drivers.filter(({ fingerprint }) => fingerprint.proven).map(({ name }) => name)
  }

  /** Resolves when no outcome of a build is being written down any more. */
  async settled(): Promise<void> {
    await this.#builds.settled()
  }

  /** A version that has taken its place meanwhile stays. */
  async #remove(record: TemplateRecord): Promise<void> {
    const { book, node } = this.#parts
    await this.#builds.inTurn(record, async () => {
      if ((await book.find(record.project, record))?.value.build !== record.build) return
      await book.remove(record)
      await this.#builds.removeMemory(record)
      await node.images.unpin(pinOf(record))
      await this.#builds.remove(record.build)
    })
  }
}
