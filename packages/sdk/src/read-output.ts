import { CoveError, type AttachFrom, type Exit } from '@cove/domain'
import type { CallOptions } from './call-options.ts'
import type { ProcessName } from './process-calls.ts'
import { processStream } from './process-stream.ts'
import { aborted } from './wire/failures.ts'
import { callSignal, type Rpc } from './wire/rpc.ts'

/** Which part of the output is read, and how long to wait for it. */
export interface ReadOutputOptions extends CallOptions {
  /** The offset to read from: `next` of the answer before, or `now` for what comes from now on. Default 0. */
  readonly from?: AttachFrom
  /** Bytes to read at most; the rest is for the next call. Default and maximum 4 MiB. */
  readonly maxBytes?: number
  /** Milliseconds to wait for output or the end when there is nothing new. Default 0: answers at once. */
  readonly waitMs?: number
  /** When not the sandbox's current one, the call is refused with `stale-incarnation`. */
  readonly incarnation?: number
}

/** A piece of what a process has written. */
export interface OutputPart {
  /** All streams in the order in which they were written, and each by itself. */
  readonly bytes: Uint8Array
  readonly stdoutBytes: Uint8Array
  readonly stderrBytes: Uint8Array
  /** `bytes` as text; bytes that are not UTF-8, also a character that goes on in the next part, become U+FFFD. */
  readonly text: string
  /** Where to go on: `from` of the next call. */
  readonly next: number
  /** Bytes that were overwritten before they were read; they are missing in front of or inside this part. */
  readonly missed: number
  /** How it ended; absent while it runs, and while there is more to read. */
  readonly exit?: Exit
  /** True when its time limit ended it. */
  readonly timedOut: boolean
}

const MAX_BYTES = 4 * 1024 * 1024

/** Everything that is there now beyond an offset; with `waitMs`, at least something where it comes in time. */
export async function readOutput(rpc: Rpc, name: ProcessName, options: ReadOutputOptions): Promise<OutputPart> {
  const { from = 0, incarnation = 0, waitMs = 0 } = options
  const limit = Math.min(options.maxBytes ?? MAX_BYTES, MAX_BYTES)
  if (!(limit >= 1)) throw new CoveError('invalid-argument', `maxBytes ${limit} is below 1`, { field: 'maxBytes' })
  const outer = callSignal(options)
  const enough = new AbortController()
  const signal = outer === undefined ? enough.signal : AbortSignal.any([outer, enough.signal])
  const part = new Part(from === 'now' ? undefined : from)
  let timer: ReturnType<typeof setTimeout> | undefined
  try {
    for await (const item of processStream(rpc, { ...name, incarnation, from }, signal)) {
      if (item.type === 'started') {
        part.begin(item.info.outputTo)
        const over = item.info.exit !== undefined
        // What has ended tells its end behind its last byte; that needs no waiting.
        if (!over && part.next >= part.known) {
          if (waitMs <= 0) break
          timer = setTimeout(() => enough.abort(), waitMs)
        }
        if (over) part.known = Infinity
      } else if (item.type === 'exit') {
        part.end(item.exit, item.timedOut)
        break
      } else if (item.type === 'gap') {
        part.skip(item.from, item.to)
      } else {
        part.add(item.stream === 'stderr', item.data, limit)
        if (part.size >= limit) break
      }
      if (item.type !== 'started' && part.next >= part.known) break
    }
  } catch (thrown) {
    if (outer?.aborted === true) throw aborted(outer)
    if (!enough.signal.aborted) throw thrown
  } finally {
    clearTimeout(timer)
    enough.abort()
  }
  return part.result()
}

class Part {
  #from: number | undefined
  readonly #pieces: { readonly isError: boolean; readonly data: Uint8Array }[] = []
  #missed = 0
  #end: { readonly exit: Exit; readonly timedOut: boolean } | undefined
  next = 0
  size = 0
  /** Output is there up to here without waiting. */
  known = 0

  constructor(from: number | undefined) {
    this.#from = from
  }

  begin(outputTo: number): void {
    this.known = outputTo
    this.next = this.#from ?? outputTo
  }

  add(isError: boolean, data: Uint8Array, limit: number): void {
    const piece = data.subarray(0, limit - this.size)
    this.#pieces.push({ isError, data: piece })
    this.size += piece.byteLength
    this.next += piece.byteLength
  }

  skip(from: number, to: number): void {
    this.#missed += to - from
    this.next = to
  }

  end(exit: Exit, timedOut: boolean): void {
    this.#end = { exit, timedOut }
  }

  result(): OutputPart {
    const bytes = joined(this.#pieces)
    return {
      bytes,
      stdoutBytes: joined(this.#pieces.filter(({ isError }) => !isError)),
      stderrBytes: joined(this.#pieces.filter(({ isError }) => isError)),
      text: new TextDecoder().decode(bytes),
      next: this.next,
      missed: this.#missed,
      ...(this.#end === undefined ? {} : { exit: this.#end.exit }),
      timedOut: this.#end?.timedOut ?? false,
    }
  }
}

function joined(pieces: readonly { readonly data: Uint8Array }[]): Uint8Array {
  const all = new Uint8Array(pieces.reduce((sum, { data }) => sum + data.byteLength, 0))
  let at = 0
  for (const { data } of pieces) {
    all.set(data, at)
    at += data.byteLength
  }
  return all
}
