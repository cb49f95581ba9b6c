import { TemplateService } from '@cove/api'
import { CoveError } from '@cove/domain'
import type { CallOptions } from '../call-options.ts'
import { Reconnect } from '../wire/reconnect.ts'
import type { Rpc } from '../wire/rpc.ts'
import { noticingSilence } from '../wire/silence.ts'
import { templateInfo, type TemplateInfo } from './template-info.ts'

/** What a build says, in order. */
export type BuildEvent =
  | { readonly type: 'step'; readonly index: number; readonly text: string; readonly cached: boolean }
  /** `offset` counts the bytes of the whole log up to this text. */
  | { readonly type: 'log'; readonly offset: number; readonly text: string }
  | { readonly type: 'done'; readonly template: TemplateInfo }
  | { readonly type: 'failed'; readonly error: CoveError }

/** A build under way, or one that has ended. It goes on without whoever began it. */
export class TemplateBuild implements AsyncIterable<BuildEvent> {
  /** Finds it again: `cove.templates.buildOf(id)`. */
  readonly id: string
  readonly #rpc: Rpc

  /** @internal */
  constructor(rpc: Rpc, id: string) {
    this.#rpc = rpc
    this.id = id
  }

  [Symbol.asyncIterator](): AsyncIterator<BuildEvent> {
    return this.events()
  }

  /**
   * Everything from the beginning and then live; ends after `done` or `failed`. A broken connection is made again where
   * it was.
   */
  async *events({ signal }: { readonly signal?: AbortSignal } = {}): AsyncGenerator<BuildEvent> {
    const line = new Reconnect(this.#rpc.parts, signal)
    let offset = 0
    let steps = -1
    for (;;) {
      try {
        line.begin()
        const request = { build: this.id, offset: BigInt(offset) }
        const open = (both: AbortSignal) => this.#rpc.stream(TemplateService.method.followBuild, request, both)
        for await (const { event } of noticingSilence(this.#rpc.parts, signal, open)) {
          if (event.case === 'keepAlive' || event.case === undefined) continue
          line.moved()
          if (event.case === 'step') {
            const { index, text, cached } = event.value
            // Told again by a connection that began anew.
            if (index <= steps) continue
            steps = index
            yield { type: 'step', index, text, cached }
          } else if (event.case === 'log') {
            const { text } = event.value
            offset = Number(event.value.offset) + new TextEncoder().encode(text).length
            yield { type: 'log', offset: Number(event.value.offset), text }
          } else if (event.case === 'done') {
            return yield { type: 'done', template: templateInfo(event.value) }
          } else {
            const { code, message, fix } = event.value
            return yield { type: 'failed', error: CoveError.fromWire(code, message, { build: this.id }, fix) }
          }
        }
        throw new CoveError('connection-lost', 'the log of the build ended before the build')
      } catch (thrown) {
        await line.failed(thrown, this.#rpc.reconnect)
      }
    }
  }

  /** Waits for the end. Throws what the build has failed with. */
  async result(options: { readonly signal?: AbortSignal } = {}): Promise<TemplateInfo> {
    for await (const event of this.events(options)) {
      if (event.type === 'done') return event.template
      if (event.type === 'failed') throw event.error
    }
    throw new CoveError('internal', 'the build ended without an outcome')
  }

  /** Resolves when nothing of it runs any more. One that has ended stays as it is. */
  async cancel(call: CallOptions = {}): Promise<void> {
    await this.#rpc.unary(TemplateService.method.cancelBuild, { build: this.id }, { ...call, idempotent: true })
  }
}
