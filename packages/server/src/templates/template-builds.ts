import {
  CoveError,
  randomId,
  type BuildEvent,
  type BuildRequest,
  type Clock,
  type ImageInfo,
  type Limits,
  type Log,
  type NodeClient,
  type Random,
} from '@cove/domain'
import { closingKey, projectClosing } from '../identity/records.ts'
import type { TemplateBook } from './template-book.ts'
import { Turns } from './turns.ts'
import { memoryIdOf, saveMemory } from './save-memory.ts'
import type {
  BuildFailure,
  BuildRecord,
  MemoryRecord,
  MemoryWish,
  TemplatePlan,
  TemplateRecord,
} from './template-record.ts'

export interface BuildParts {
  readonly book: TemplateBook
  readonly node: NodeClient
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly closing: AbortSignal
  /** What sandboxes have unless they or their template say otherwise. */
  readonly limits: Limits
}

export type FollowedEvent =
  | Exclude<BuildEvent, { type: 'done' }>
  | { readonly type: 'done'; readonly template: TemplateRecord }

/** Of one project at once. */
const UNDER_WAY = 16
/** Ended builds of one project whose logs are kept beside those of its templates. */
const KEPT_FAILURES = 50
/** Beyond every log: only what happens from now on is told. */
const END_OF_LOG = Number.MAX_SAFE_INTEGER
const AGAIN_MS = 1_000

/** Builds from their start to a template that has their image, over restarts of the server too. */
export class TemplateBuilds {
  readonly #parts: BuildParts
  /** Settled when the outcome of the build is in the store. */
  readonly #endings = new Map<string, Promise<void>>()
  readonly #turns = new Turns()

  constructor(parts: BuildParts) {
    this.#parts = parts
  }

  /** Takes up the builds that an earlier server has begun. */
  async resume(): Promise<void> {
    for (const record of await this.#parts.book.builds()) {
      if (record.state === 'building') this.#follow(record)
    }
  }

  /** Answers with the id of the build. */
  async start(plan: TemplatePlan, request: Omit<BuildRequest, 'id'>): Promise<string> {
    const { book, node, clock, random } = this.#parts
    const id = randomId(random)
    await this.#makeRoom(plan.project)
    const record: BuildRecord = { ...plan, id, node: node.name, startedAt: clock.now(), state: 'building' }
    const open = { key: closingKey(plan.project), absent: true as const }
    if (!(await book.putBuild(record, [open]))) throw projectClosing(plan.project)
    try {
      await node.builds.start({ ...request, id })
    } catch (error) {
      await book.removeBuild(id)
      throw error
    }
    this.#follow(record)
    return id
  }

  /** `build-not-found` when there is none of this id in the project. */
  async get(project: string, id: string): Promise<BuildRecord> {
    const entry = /^[a-z2-7]{16}$/.test(id) ? await this.#parts.book.build(id) : undefined
    if (entry?.value.project === project) return entry.value
    throw new CoveError('build-not-found', `there is no build ${JSON.stringify(id.slice(0, 80))}`)
  }

  async *follow(project: string, id: string, offset: number, signal: AbortSignal): AsyncGenerator<FollowedEvent> {
    const { name, tag } = await this.get(project, id)
    const { book, node } = this.#parts
    for await (const event of node.builds.follow(id, offset, signal)) {
      if (event.type !== 'done') {
        yield event
        continue
      }
      // The name has to mean the new image by the time somebody hears of it.
      await this.#endings.get(id)
      const { state, failure } = await this.get(project, id)
      const template = await book.find(project, { name, tag })
      if (state === 'done' && template !== undefined) yield { type: 'done', template: template.value }
      else yield { type: 'failed', ...(failure ?? LOST) }
    }
  }

  async cancel(project: string, id: string): Promise<void> {
    await this.get(project, id)
    await this.#parts.node.builds.cancel(id)
    await this.#endings.get(id)
  }

  /** While nothing else happens to this template: its record and the pin of its image change together. */
  inTurn<T>(plan: TemplatePlan, work: () => Promise<T>): Promise<T> {
    return this.#turns.run(pinOf(plan), work)
  }

  /** With its log. */
  async remove(id: string): Promise<void> {
    const { book, node } = this.#parts
    await node.builds.remove(id)
    await this.#endings.get(id)
    await book.removeBuild(id)
  }

  /** Resolves when nothing is being brought to its end here any more. */
  async settled(): Promise<void> {
    await Promise.all(this.#endings.values())
  }

  #follow(record: BuildRecord): void {
    const ending = this.#bringToEnd(record).finally(() => this.#endings.delete(record.id))
    this.#endings.set(record.id, ending)
  }

  /** Never rejects: what it could not write down, the next server does. */
  async #bringToEnd(record: BuildRecord): Promise<void> {
    const { clock, closing, log } = this.#parts
    while (!closing.aborted) {
      try {
        await this.#bringToEndOnce(record)
        return
      } catch (thrown) {
        const error = CoveError.from(thrown)
        if (closing.aborted) return
        log.warn('following a build failed, trying again', { build: record.id, code: error.code, error: error.message })
        await clock.sleep(AGAIN_MS, closing).catch(() => {})
      }
    }
  }

  async #bringToEndOnce(record: BuildRecord): Promise<void> {
    const { book, node, closing } = this.#parts
    try {
      for await (const event of node.builds.follow(record.id, END_OF_LOG, closing)) {
        if (event.type === 'done') await this.inTurn(record, () => this.#finish(record, event.image))
        else if (event.type === 'failed') {
          const { code, message, fix } = event
          await book.putBuild({ ...record, state: 'failed', failure: { code, message, fix } })
        }
      }
    } catch (thrown) {
      if (CoveError.from(thrown).code !== 'build-not-found') throw thrown
      await book.putBuild({ ...record, state: 'failed', failure: LOST })
    }
  }

  /** The image is held by the template's pin before anybody can ask for it by name. */
  async #finish(record: BuildRecord, image: ImageInfo): Promise<void> {
    const { book, node, clock } = this.#parts
    const { id, startedAt: _startedAt, state: _state, node: _node, memoryWish, ...plan } = record
    const { env, workdir, user } = image.defaults
    const { os, architecture, variant } = image.platform
    const before = await book.find(record.project, record)
    await node.images.pin(pinOf(record), image.id)
    const memory = memoryWish === undefined ? undefined : await this.#saveMemory(record, image, memoryWish)
    if (memory === 'failed') return
    const template: TemplateRecord = {
      ...plan,
      image: image.id,
      build: id,
      bytes: image.layers.reduce((sum, { bytes }) => sum + bytes, 0),
      createdAt: clock.now(),
      node: node.name,
      platform: [os, architecture, ...(variant === undefined ? [] : [variant])].join('/'),
      env,
      ...(workdir === undefined ? {} : { workdir }),
      ...(user === undefined ? {} : { user }),
      ...(memory === undefined ? {} : { memory }),
    }
    try {
      await book.finish({ ...record, state: 'done', image: image.id }, template)
    } catch (thrown) {
      const { code, message } = CoveError.from(thrown)
      // An environment of any size can come out of an image; trying again makes it no smaller.
      if (code !== 'invalid-argument') throw thrown
      await this.#takeBack(record, before?.value)
      const failure = {
        code: 'build-failed',
        message: `the template is too large to be kept: ${message}`,
        fix: TOO_LARGE,
      }
      await book.putBuild({ ...record, state: 'failed', failure })
      return
    }
    if (before === undefined || before.value.build === id) return
    await this.removeMemory(before.value)
    await this.#forget(before.value.build)
  }

  /** The memory of a version that is gone. What cannot be removed now is tried again when templates are swept. */
  async removeMemory({ memory, name }: TemplateRecord): Promise<void> {
    if (memory === undefined) return
    const { node, log } = this.#parts
    try {
      await node.snapshots.remove(memory.snapshot)
    } catch (thrown) {
      log.warn('the memory of an old template stays', { template: name, error: CoveError.from(thrown).message })
    }
  }

  /** What the name meant before holds again. */
  async #takeBack(record: BuildRecord, before: TemplateRecord | undefined): Promise<void> {
    const { node } = this.#parts
    await node.snapshots.remove(memoryIdOf(record))
    await (before === undefined ? node.images.unpin(pinOf(record)) : node.images.pin(pinOf(record), before.image))
  }

  async #saveMemory(record: BuildRecord, image: ImageInfo, wish: MemoryWish): Promise<MemoryRecord | 'failed'> {
    const { book, node, clock, closing, limits } = this.#parts
    try {
      return await saveMemory({ node, clock, record, image, wish, limits, signal: closing })
    } catch (thrown) {
      const error = CoveError.from(thrown, 'driver-failed')
      if (closing.aborted) throw error
      await this.#takeBack(record, (await book.find(record.project, record))?.value)
      const { code, fix } = error
      const message = `the template was built, but its memory was not saved: ${error.message}`
      await book.putBuild({ ...record, state: 'failed', failure: { code, message, fix } })
      return 'failed'
    }
  }

  /** The log of a version that nobody can ask for any more; it keeps no image either. */
  async #forget(id: string): Promise<void> {
    const { book, node, log } = this.#parts
    try {
      await node.builds.remove(id)
      await book.removeBuild(id)
    } catch (thrown) {
      log.warn('the log of an old build stays', { build: id, error: CoveError.from(thrown).message })
    }
  }

  async #makeRoom(project: string): Promise<void> {
    const builds = (await this.#parts.book.builds()).filter((record) => record.project === project)
    const underWay = builds.filter(({ state }) => state === 'building')
    if (underWay.length >= UNDER_WAY) {
      throw new CoveError('limit-reached', `project ${project} has ${UNDER_WAY} builds under way already`, {
        limit: UNDER_WAY,
      })
    }
    const failed = builds.filter(({ state }) => state === 'failed').toSorted((a, b) => a.startedAt - b.startedAt)
    for (const { id } of failed.slice(0, Math.max(0, failed.length - KEPT_FAILURES + 1))) await this.#forget(id)
  }
}

const LOST: BuildFailure = {
  code: 'build-not-found',
  message: 'what came of the build is not known any more',
  fix: 'Build again; what was done is not done again.',
}

const TOO_LARGE = 'Use fewer or smaller environment variables.'

/** Under which the node keeps the image of a template. */
export const pinOf = ({ project, name, tag }: TemplatePlan): string => `${PIN_PREFIX}${project}/${name}:${tag}`
export const PIN_PREFIX = 'template/'
