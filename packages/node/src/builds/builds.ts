import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { CoveError, type BuildEvent, type BuildRequest, type ImageId, type NodeBuilds } from '@cove/domain'
import { Gate } from '../gate.ts'
import { anySignal, throwIfAborted } from '../wait.ts'
import { BuildLog } from './build-log.ts'
import type { BuildParts } from './build-parts.ts'
import { BuildRecords, type BuildOutcome } from './build-records.ts'
import { Contexts } from './contexts.ts'
import { runBuild } from './run-build.ts'
import { StepCache } from './step-cache.ts'

const AT_ONCE = 2
/** Builds that may wait in line. */
const LINE = 100
/** Ended builds that are remembered; the oldest go first. */
const KEPT = 500
/** Longest that one build may take, waiting in line left out. */
const BUILD_MS = 2 * 3_600_000
const CHUNK = 64 * 1024
const STEPS = 512
const AGAIN = 'Build again; what was done is not done again.'
const ID = /^[a-z0-9][a-z0-9-]{0,62}$/

interface Build {
  readonly id: string
  readonly startedAt: number
  /** Read from the disk by whoever asks first, for a build of an earlier daemon. */
  log: Promise<BuildLog>
  outcome: BuildOutcome | undefined
  readonly cancel: AbortController
  running: Promise<void>
}

/** The builds of one node: they go on without whoever asked for them, and what they said stays. */
export class Builds implements NodeBuilds {
  readonly #parts: BuildParts
  readonly #contexts: Contexts
  readonly #records: BuildRecords
  readonly #cache: StepCache
  readonly #gate: Gate
  readonly #builds = new Map<string, Build>()

  private constructor(parts: BuildParts, contexts: Contexts) {
    this.#parts = parts
    this.#contexts = contexts
    this.#records = new BuildRecords(parts.store)
    this.#cache = new StepCache(parts.store, parts.images, parts.clock)
    this.#gate = new Gate(parts.atOnce ?? AT_ONCE, LINE)
  }

  /** A build that was under way when the last daemon was killed has failed. */
  static async open(parts: BuildParts): Promise<Builds> {
    await mkdir(parts.folder, { recursive: true, mode: 0o700 })
    const contexts = await Contexts.open(join(parts.folder, 'contexts'), parts.clock)
    const builds = new Builds(parts, contexts)
    await builds.#load()
    return builds
  }

  hasContext(digest: string): Promise<boolean> {
    return this.#contexts.has(digest)
  }

  putContext(digest: string, tar: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
    return this.#contexts.put(digest, tar, signal)
  }

  async start(request: BuildRequest): Promise<void> {
    throwIfAborted(this.#parts.signal)
    const { id } = request
    if (!ID.test(id)) throw new CoveError('invalid-argument', 'a build has an id of a-z, 0-9 and dash', { field: 'id' })
    if (request.steps.length > STEPS) {
      throw new CoveError('invalid-argument', `a build has at most ${STEPS} steps`, { field: 'steps' })
    }
    if (this.#builds.has(id)) return
    const underWay = [...this.#builds.values()].filter(({ outcome }) => outcome === undefined).length
    if (underWay >= LINE) throw new CoveError('limit-reached', `${LINE} builds are under way already`, { limit: LINE })
    const log = BuildLog.create(this.#logPath(id))
    const build: Build = {
      id,
      startedAt: this.#parts.clock.now(),
      log,
      outcome: undefined,
      cancel: new AbortController(),
      running: Promise.resolve(),
    }
    this.#builds.set(id, build)
    try {
      await log
      await this.#records.put({ id, startedAt: build.startedAt })
    } catch (thrown) {
      this.#builds.delete(id)
      throw CoveError.from(thrown, 'io-error')
    }
    build.running = this.#run(build, structuredClone(request))
    void this.#parts.background.track(build.running)
    await this.#forgetOldest()
  }

  async *follow(id: string, from: number, signal: AbortSignal): AsyncGenerator<BuildEvent, void> {
    const build = this.#find(id)
    const log = await build.log
    const limit = anySignal(signal, this.#parts.signal)
    let offset = from
    let next = log.steps.findIndex(({ at }) => at >= from)
    if (next < 0) next = log.steps.length
    for (;;) {
      throwIfAborted(limit)
      const step = log.steps[next]
      const until = Math.min(step?.at ?? log.size, log.size)
      if (offset < until) {
        const bytes = await log.read(offset, Math.min(CHUNK, until - offset))
        if (bytes.length === 0) throw new CoveError('io-error', `the log of build ${id} has been cut`)
        yield { type: 'log', offset, text: bytes.toString('utf8') }
        offset += bytes.length
      } else if (step !== undefined) {
        yield { type: 'step', index: step.index, text: step.text, cached: step.cached }
        next++
      } else if (build.outcome === undefined) {
        await log.changed(limit)
      } else {
        yield await this.#ending(build.outcome)
        return
      }
    }
  }

  async cancel(id: string): Promise<void> {
    const build = this.#find(id)
    build.cancel.abort(new CoveError('cancelled', 'the build was cancelled', {}, { fix: AGAIN }))
    await build.running
  }

  async remove(id: string): Promise<void> {
    const build = this.#builds.get(id)
    if (build === undefined) return
    build.cancel.abort(new CoveError('cancelled', 'the build was removed'))
    await build.running
    await this.#parts.images.unpin(pinOf(id))
    await this.#records.remove(id)
    await BuildLog.remove(this.#logPath(id))
    this.#builds.delete(id)
  }

  async #load(): Promise<void> {
    const known = new Set<string>()
    for (const { id, startedAt, outcome } of await this.#records.load()) {
      known.add(id)
      const ended = outcome ?? stopped()
      if (outcome === undefined) await this.#records.put({ id, startedAt, outcome: ended })
      let loaded: Promise<BuildLog> | undefined
      const path = this.#logPath(id)
      const build: Build = {
        id,
        startedAt,
        get log() {
          return (loaded ??= BuildLog.load(path))
        },
        outcome: ended,
        cancel: new AbortController(),
        running: Promise.resolve(),
      }
      this.#builds.set(id, build)
    }
    await this.#removeStrayLogs(known)
  }

  async #removeStrayLogs(known: ReadonlySet<string>): Promise<void> {
    const folder = join(this.#parts.folder, 'logs')
    const names = await readdir(folder).catch(() => [])
    for (const name of names) {
      if (!known.has(name.replace(/\.log(\.steps)?$/, ''))) await rm(join(folder, name), { force: true })
    }
  }

  async #run(build: Build, request: BuildRequest): Promise<void> {
    const { log: diary } = this.#parts
    const stop = anySignal(build.cancel.signal, this.#parts.signal)
    const log = await build.log
    let outcome: BuildOutcome
    try {
      const image = await this.#gate.run(stop, () => this.#build(build.id, request, log, stop))
      outcome = { type: 'done', image }
    } catch (thrown) {
      const error = this.#parts.signal.aborted
        ? stopped()
        : build.cancel.signal.aborted
          ? CoveError.from(build.cancel.signal.reason, 'cancelled')
          : CoveError.from(thrown)
      diary.info('a build has failed', { build: build.id, code: error.code, error: error.message.slice(0, 500) })
      outcome = { type: 'failed', code: error.code, message: error.message.slice(0, 8_000), fix: error.fix }
    }
    try {
      await this.#records.put({ id: build.id, startedAt: build.startedAt, outcome })
    } catch (thrown) {
      // The next daemon finds a build under way and says that it has failed.
      diary.error('the end of a build was not recorded', { build: build.id, error: CoveError.from(thrown).message })
    }
    build.outcome = outcome
    log.touch()
  }

  async #build(id: string, request: BuildRequest, log: BuildLog, stop: AbortSignal): Promise<ImageId> {
    const { clock, images } = this.#parts
    const late = new AbortController()
    const done = new AbortController()
    const expire = (): void =>
      late.abort(new CoveError('deadline-exceeded', `the build took longer than ${BUILD_MS} ms`))
    clock.sleep(BUILD_MS, done.signal).then(expire, () => {})
    const room = { parts: this.#parts, contexts: this.#contexts, cache: this.#cache, log }
    try {
      // Whatever the signal says, this ends only after the machine is gone.
      using lease = await runBuild({ ...room, signal: anySignal(stop, late.signal) }, request)
      await images.pin(pinOf(id), lease.info.id)
      return lease.info.id
    } finally {
      done.abort()
    }
  }

  async #ending(outcome: BuildOutcome): Promise<BuildEvent> {
    if (outcome.type === 'failed') return outcome
    try {
      using lease = await this.#parts.images.lease(outcome.image)
      return { type: 'done', image: lease.info }
    } catch (thrown) {
      const error = CoveError.from(thrown)
      return { type: 'failed', code: error.code, message: error.message, fix: 'Build again.' }
    }
  }

  async #forgetOldest(): Promise<void> {
    const ended = [...this.#builds.values()].filter(({ outcome }) => outcome !== undefined)
    for (const { id } of ended.slice(0, Math.max(0, ended.length - KEPT))) await this.remove(id)
  }

  #find(id: string): Build {
    const build = this.#builds.get(id)
    if (build !== undefined) return build
    throw new CoveError('build-not-found', `there is no build ${JSON.stringify(id.slice(0, 80))}`)
  }

  #logPath(id: string): string {
    return join(this.#parts.folder, 'logs', `${id}.log`)
  }
}

function stopped(): BuildOutcome & { readonly type: 'failed' } {
  return { type: 'failed', code: 'cancelled', message: 'Cove was stopped during the build', fix: AGAIN }
}

const pinOf = (id: string): string => `build/${id}`
