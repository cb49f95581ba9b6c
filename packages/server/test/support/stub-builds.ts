import { CoveError, type BuildEvent, type BuildRequest, type ImageInfo, type NodeBuilds } from '@cove/domain'

interface StubBuild {
  readonly request: BuildRequest
  readonly events: BuildEvent[]
  wake: PromiseWithResolvers<void>
}

/** Builds that do what a test says, and only that. Logs are counted in ASCII. */
export class StubBuilds implements NodeBuilds {
  readonly builds = new Map<string, StubBuild>()
  readonly contexts = new Map<string, Uint8Array>()
  readonly #added: (image: ImageInfo, pin: string) => void

  /** `added` hears of every image that a build has made. */
  constructor(added: (image: ImageInfo, pin: string) => void) {
    this.#added = added
  }

  /** The newest. */
  get last(): BuildRequest {
    const build = [...this.builds.values()].at(-1)
    if (build === undefined) throw new Error('nothing is being built')
    return build.request
  }

  tell(id: string, event: BuildEvent): void {
    const build = this.#find(id)
    if (event.type === 'done') this.#added(event.image, `build/${id}`)
    build.events.push(event)
    build.wake.resolve()
    build.wake = Promise.withResolvers()
  }

  async hasContext(digest: string): Promise<boolean> {
    return this.contexts.has(digest)
  }

  async putContext(digest: string, tar: AsyncIterable<Uint8Array>): Promise<void> {
    this.contexts.set(digest, Buffer.concat(await Array.fromAsync(tar)))
  }

  async start(request: BuildRequest): Promise<void> {
    if (this.builds.has(request.id)) return
    this.builds.set(request.id, { request, events: [], wake: Promise.withResolvers() })
  }

  async *follow(id: string, from: number, signal: AbortSignal): AsyncGenerator<BuildEvent> {
    const build = this.#find(id)
    const gone = Promise.withResolvers<never>()
    gone.promise.catch(() => {})
    signal.addEventListener('abort', () => gone.reject(CoveError.from(signal.reason, 'cancelled')), { once: true })
    for (let next = 0; ; next++) {
      while (next >= build.events.length) await Promise.race([build.wake.promise, gone.promise])
      const event = build.events[next]
      if (event === undefined || (event.type === 'log' && event.offset < from)) continue
      yield event
      if (event.type === 'done' || event.type === 'failed') return
    }
  }

  async cancel(id: string): Promise<void> {
    this.tell(id, { type: 'failed', code: 'cancelled', message: 'the build was cancelled', fix: 'Build again.' })
  }

  async remove(id: string): Promise<void> {
    this.builds.delete(id)
  }

  #find(id: string): StubBuild {
    const build = this.builds.get(id)
    if (build === undefined) throw new CoveError('build-not-found', `there is no build ${id}`)
    return build
  }
}
