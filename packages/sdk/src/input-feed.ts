import { CoveError } from '@cove/domain'
import type { CallOptions } from './call-options.ts'
import { takesNoMore } from './process-calls.ts'
import type { Process } from './process.ts'

/**
 * Gives a process its whole input, part by part. A process that ends without taking all of it is as good as any other;
 * what the input itself fails with, and what keeps it from arriving, is a failure.
 */
export class InputFeed {
  #stopped = false
  #wake: (() => void) | undefined
  /** Why it could not be given; absent as long as nothing has failed. */
  failure: { readonly thrown: unknown } | undefined

  /** `onFailure` is called once, as soon as it has failed. */
  constructor(
    process: Process,
    input: Uint8Array | AsyncIterable<Uint8Array>,
    call: CallOptions,
    onFailure: () => void,
  ) {
    this.#feed(process, input instanceof Uint8Array ? once(input) : input, call).catch((thrown: unknown) => {
      this.failure = { thrown }
      onFailure()
    })
  }

  /** The input is asked for nothing more, and let go of. */
  stop(): void {
    this.#stopped = true
    this.#wake?.()
  }

  async #feed(process: Process, input: AsyncIterable<Uint8Array>, call: CallOptions): Promise<void> {
    const parts = input[Symbol.asyncIterator]()
    for (;;) {
      const part = await this.#next(parts)
      if (part === undefined) return letGo(parts)
      try {
        if (part.done === true) return await process.closeStdin(call)
        await process.write(part.value, call)
      } catch (thrown) {
        letGo(parts)
        if (thrown instanceof CoveError && takesNoMore(thrown)) return
        throw thrown
      }
    }
  }

  /** Undefined as soon as it is stopped, although the input may still be asked. */
  #next(parts: AsyncIterator<Uint8Array>): Promise<IteratorResult<Uint8Array> | undefined> {
    return new Promise((resolve, reject) => {
      this.#wake = () => resolve(undefined)
      if (this.#stopped) resolve(undefined)
      else parts.next().then(resolve, reject)
    })
  }
}

/** Not waited for: an input that hangs would hang here too. */
function letGo(parts: AsyncIterator<Uint8Array>): void {
  void Promise.resolve(parts.return?.()).catch(() => {})
}

async function* once(data: Uint8Array): AsyncGenerator<Uint8Array> {
  yield data
}
