import { CoveError, type Exit, type ProcessEvent, type TerminalSize } from '@cove/domain'
import { BoundedQueue } from './bounded-queue.ts'
import type { CallOptions } from './call-options.ts'
import { killProcess, resizeTerminal, signalProcess, writeStdin } from './process-calls.ts'
import { processStream, type ProcessSource, type StreamItem } from './process-stream.ts'
import type { ProcessInfo } from './process-info.ts'
import type { SignalName } from './signals.ts'
import { aborted } from './wire/failures.ts'
import { callSignal, type Rpc } from './wire/rpc.ts'

/** How a process ended; `timedOut` when its time limit ended it. */
export interface ProcessEnd {
  readonly exit: Exit
  readonly timedOut: boolean
}

/** Output that has arrived and that its reader has not taken yet; beyond it the process inside is held back. */
const QUEUE_BYTES = 1024 * 1024

/**
 * A process in a sandbox, with a connection to its output. After a drop the connection is made again where it was, so
 * every byte arrives once; only what a long-detached process overwrote is missing, told as a `gap` event.
 *
 * Output arrives as fast as its readers take it. A stream that nobody reads keeps its newest MiB and blocks nothing.
 */
export class Process implements AsyncDisposable {
  readonly #rpc: Rpc
  readonly #source: ProcessSource
  readonly #items: AsyncGenerator<StreamItem>
  readonly #detached: AbortController
  readonly #owned: boolean
  readonly #stdout = new BoundedQueue<Uint8Array>(QUEUE_BYTES)
  readonly #stderr = new BoundedQueue<Uint8Array>(QUEUE_BYTES)
  readonly #listeners = new Set<BoundedQueue<ProcessEvent>>()
  #pump: Promise<ProcessEnd> | undefined
  #end: ProcessEnd | undefined
  /** As it was when it was started or attached. */
  readonly info: ProcessInfo

  private constructor(
    rpc: Rpc,
    source: ProcessSource,
    items: AsyncGenerator<StreamItem>,
    detached: AbortController,
    info: ProcessInfo,
  ) {
    this.#rpc = rpc
    this.#source = source
    this.#items = items
    this.#detached = detached
    this.#owned = source.command !== undefined
    this.info = info
  }

  /** @internal */
  static async open(rpc: Rpc, source: ProcessSource, signal?: AbortSignal): Promise<Process> {
    const detached = new AbortController()
    const both = signal === undefined ? detached.signal : AbortSignal.any([detached.signal, signal])
    const items = processStream(rpc, source, both)
    const first = await items.next()
    if (first.done === true || first.value.type !== 'started') {
      detached.abort()
      throw new CoveError('internal', 'the stream of a process began without its start')
    }
    return new Process(rpc, source, items, detached, first.value.info)
  }

  /** What the process is found by from any client. */
  get id(): string {
    return this.#source.id
  }

  /** Inside the sandbox. */
  get pid(): number {
    return this.info.pid
  }

  /** Everything that happens from now on, in order; ends after `exit`. Leaving the loop leaves the process alone. */
  events(): AsyncIterable<ProcessEvent> {
    const queue = new BoundedQueue<ProcessEvent>(QUEUE_BYTES).claim()
    if (this.#end === undefined) this.#listeners.add(queue)
    else queue.close()
    void this.#run()
    return queue
  }

  /** Its output, or with a terminal everything that the terminal shows. To be read once. */
  get stdout(): AsyncIterable<Uint8Array> {
    void this.#run()
    return this.#stdout
  }

  /** What it writes to stderr; empty with a terminal. To be read once. */
  get stderr(): AsyncIterable<Uint8Array> {
    void this.#run()
    return this.#stderr
  }

  /** Waits for the end, reading on meanwhile. Rejects when the connection cannot be made again. */
  async wait(options: CallOptions = {}): Promise<ProcessEnd> {
    const end = this.#run()
    const signal = callSignal(options)
    return signal === undefined ? end : raceSignal(end, signal)
  }

  /**
   * Sends input; resolves when the process's pipe has taken it. The process must have been started with `stdin`. After
   * `connection-lost` it is not known how much of the last MiB has arrived.
   */
  async write(data: string | Uint8Array, options: CallOptions = {}): Promise<void> {
    await writeStdin(this.#rpc, this.#source, data, false, options)
  }

  /** Ends its input, as the end of a file does. */
  async closeStdin(options: CallOptions = {}): Promise<void> {
    await writeStdin(this.#rpc, this.#source, '', true, options)
  }

  /** To the process's whole group. `wrong-state` when it has ended, `process-not-found` when it is forgotten. */
  async signal(signal: SignalName | number, options: CallOptions = {}): Promise<void> {
    await signalProcess(this.#rpc, this.#source, signal, options)
  }

  /** Ends the whole group at once. A process that has ended already is no error. */
  async kill(options: CallOptions = {}): Promise<void> {
    await killProcess(this.#rpc, this.#source, options)
  }

  /** Changes the size of its terminal. */
  async resize(size: TerminalSize, options: CallOptions = {}): Promise<void> {
    await resizeTerminal(this.#rpc, this.#source, size, options)
  }

  /** Lets go of the connection; the process goes on and can be attached again by its id. */
  detach(): void {
    // After the end the connection frees itself, for the next call.
    if (this.#end === undefined) this.#detached.abort(new CoveError('cancelled', 'the process was detached'))
  }

  /** Ends the process if this handle started it and it still runs, and lets go of the connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      if (this.#owned && this.#end === undefined) await this.kill({ timeoutMs: 5000 })
    } catch (thrown) {
      // A sandbox that is gone has taken the process with it.
      if (!(thrown instanceof CoveError && GONE.has(thrown.code))) throw thrown
    } finally {
      this.detach()
    }
  }

  #run(): Promise<ProcessEnd> {
    if (this.#pump === undefined) {
      const { promise, resolve, reject } = Promise.withResolvers<ProcessEnd>()
      this.#pump = promise
      // Whoever waits is told; nobody has to wait.
      promise.catch(() => {})
      void this.#read(resolve, reject)
    }
    return this.#pump
  }

  async #read(resolve: (end: ProcessEnd) => void, reject: (error: CoveError) => void): Promise<void> {
    // Readers that come in the same turn get the first byte too.
    await Promise.resolve()
    try {
      for await (const item of this.#items) {
        if (item.type === 'started') continue
        const size = item.type === 'output' ? item.data.byteLength : 0
        for (const listener of this.#listeners) await listener.push(item, size)
        if (item.type === 'output') await (item.stream === 'stderr' ? this.#stderr : this.#stdout).push(item.data, size)
        if (item.type !== 'exit') continue
        this.#end = { exit: item.exit, timedOut: item.timedOut }
        this.#close()
        resolve(this.#end)
      }
      if (this.#end === undefined) throw new CoveError('connection-lost', 'the stream ended before the process did')
    } catch (thrown) {
      const error = CoveError.from(thrown)
      this.#close(error)
      reject(error)
    }
  }

  #close(error?: CoveError): void {
    for (const queue of [this.#stdout, this.#stderr, ...this.#listeners]) queue.close(error)
    this.#listeners.clear()
  }
}

const GONE: ReadonlySet<string> = new Set(['sandbox-not-found', 'sandbox-gone', 'wrong-state'])

async function raceSignal<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) throw aborted(signal)
  const { promise: over, reject } = Promise.withResolvers<never>()
  const abort = () => reject(aborted(signal))
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([promise, over])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
