import { Duplex } from 'node:stream'
import {
  CoveError,
  type AttachFrom,
  type Exit,
  type FileContent,
  type FileEvent,
  type FileInfo,
  type Guest,
  type GuestMetrics,
  type ProcessEvent,
  type ProcessId,
  type ProcessInfo,
  type ProcessStream,
  type StartProcess,
} from '@cove/domain'

interface Running {
  readonly info: ProcessInfo
  readonly input: Uint8Array[]
  readonly ended: PromiseWithResolvers<Exit>
}

const CHUNK = new Uint8Array(256 * 1024)

/**
 * A guest that lives in this process: `true`, `false`, `echo …`, `cat`, `zeros <bytes>` and `sleep`, and files in
 * a map. Counts who is attached, so that a test can see a cancelled call arrive.
 */
export class StubGuest implements Guest {
  readonly files = new Map<string, Uint8Array>()
  /** How each writing of a file that was begun came out. */
  readonly writes: Promise<'done' | 'broken'>[] = []
  readonly running = new Map<ProcessId, Running>()
  attached = 0
  produced = 0
  #changed = Promise.withResolvers<void>()

  /** Resolves when the condition holds; looked at whenever something was attached or detached. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await this.#changed.promise
  }

  #notify(): void {
    this.#changed.resolve()
    this.#changed = Promise.withResolvers()
  }

  async start(request: StartProcess, signal?: AbortSignal): Promise<ProcessStream> {
    if (this.running.has(request.id)) throw new CoveError('already-exists', 'the process id is used')
    const [program = ''] = request.argv
    if (!['true', 'false', 'echo', 'cat', 'zeros', 'sleep'].some((known) => program.endsWith(known))) {
      throw new CoveError('command-not-found', `${program} was not found`)
    }
    const info: ProcessInfo = {
      id: request.id,
      pid: this.running.size + 10,
      argv: request.argv,
      cwd: request.cwd ?? '/home/user',
      user: request.user ?? 'user',
      terminal: request.terminal !== undefined,
      startedAt: Date.now(),
      outputFrom: 0,
      outputTo: 0,
      timedOut: false,
    }
    this.running.set(request.id, { info, input: [], ended: Promise.withResolvers() })
    return { info, events: this.#events(request.id, 0, signal) }
  }

  async attach(id: ProcessId, from: AttachFrom, signal?: AbortSignal): Promise<ProcessStream> {
    const { info } = this.#process(id)
    return { info, events: this.#events(id, from === 'now' ? 0 : from, signal) }
  }

  async *#events(id: ProcessId, from: number, signal?: AbortSignal): AsyncGenerator<ProcessEvent> {
    const process = this.#process(id)
    const [program = '', ...rest] = process.info.argv
    this.attached++
    this.#notify()
    try {
      if (program.endsWith('echo')) {
        const data = Buffer.from(`${rest.join(' ')}\n`).subarray(from)
        if (data.length > 0) yield { type: 'output', stream: 'stdout', offset: from, data }
      }
      if (program.endsWith('zeros')) {
        const total = Number(rest[0])
        for (let offset = from; offset < total;) {
          signal?.throwIfAborted()
          const data = CHUNK.subarray(0, Math.min(CHUNK.length, total - offset))
          this.produced += data.length
          yield { type: 'output', stream: 'stdout', offset, data }
          offset += data.length
        }
      }
      if (program.endsWith('sleep') || program.endsWith('cat')) {
        const gone = Promise.withResolvers<never>()
        signal?.addEventListener('abort', () => gone.reject(new CoveError('cancelled', 'cancelled')), { once: true })
        const exit = await Promise.race([process.ended.promise, gone.promise])
        let offset = 0
        for (const data of process.input) {
          yield { type: 'output', stream: 'stdout', offset, data }
          offset += data.length
        }
        yield { type: 'exit', exit, timedOut: false }
        return
      }
      yield { type: 'exit', exit: { kind: 'exited', code: program.endsWith('false') ? 1 : 0 }, timedOut: false }
    } finally {
      this.attached--
      this.#notify()
    }
  }

  async processes(): Promise<readonly ProcessInfo[]> {
    return [...this.running.values()].map(({ info }) => info)
  }

  async writeStdin(id: ProcessId, content: AsyncIterable<Uint8Array>, options: { close: boolean }): Promise<void> {
    const process = this.#process(id)
    for await (const data of content) process.input.push(data)
    if (options.close) process.ended.resolve({ kind: 'exited', code: 0 })
  }

  async signal(id: ProcessId, signal: number): Promise<void> {
    this.#process(id).ended.resolve({ kind: 'signaled', signal })
  }

  async resize(id: ProcessId): Promise<void> {
    this.#process(id)
  }

  async readFile(path: string, options: { offset?: number; length?: number } = {}): Promise<FileContent> {
    const data = this.#file(path)
    const from = options.offset ?? 0
    const part = data.subarray(from, options.length === undefined ? undefined : from + options.length)
    return { info: fileInfo(path, data.length), content: pieces(part) }
  }

  writeFile(
    path: string,
    content: AsyncIterable<Uint8Array>,
    options: { mode?: number } = {},
    signal?: AbortSignal,
  ): Promise<FileInfo> {
    const writing = this.#write(path, content, options, signal)
    this.writes.push(
      writing.then(
        () => 'done' as const,
        () => 'broken' as const,
      ),
    )
    return writing
  }

  async #write(
    path: string,
    content: AsyncIterable<Uint8Array>,
    options: { mode?: number },
    signal: AbortSignal | undefined,
  ): Promise<FileInfo> {
    const chunks: Uint8Array[] = []
    let length = 0
    for await (const chunk of content) {
      signal?.throwIfAborted()
      length += chunk.length
      if (!path.startsWith('/dev/null')) chunks.push(chunk)
    }
    this.files.set(path, Buffer.concat(chunks))
    return { ...fileInfo(path, length), mode: options.mode ?? 0o644 }
  }

  async stat(path: string): Promise<FileInfo> {
    return fileInfo(path, this.#file(path).length)
  }

  async *list(path: string): AsyncGenerator<FileInfo> {
    for (const [name, data] of this.files) {
      if (name.startsWith(`${path}/`)) yield fileInfo(name.slice(path.length + 1), data.length)
    }
  }

  async makeDirectory(): Promise<void> {}
  async move(from: string, to: string): Promise<void> {
    this.files.set(to, this.#file(from))
    this.files.delete(from)
  }
  async remove(path: string): Promise<void> {
    this.#file(path)
    this.files.delete(path)
  }
  async chmod(path: string): Promise<void> {
    this.#file(path)
  }
  async symlink(): Promise<void> {}
  async watch(): Promise<AsyncIterable<FileEvent>> {
    return fewEvents()
  }
  async dial(): Promise<Duplex> {
    throw new CoveError('connection-refused', 'nothing listens')
  }
  async metrics(): Promise<GuestMetrics> {
    throw new CoveError('unsupported', 'no metrics')
  }

  #process(id: ProcessId): Running {
    const process = this.running.get(id)
    if (process === undefined) throw new CoveError('process-not-found', `there is no process ${id}`)
    return process
  }

  #file(path: string): Uint8Array {
    const data = this.files.get(path)
    if (data === undefined) throw new CoveError('file-not-found', `${path} does not exist`)
    return data
  }
}

function fileInfo(path: string, size: number): FileInfo {
  const name = path.slice(path.lastIndexOf('/') + 1)
  return { name, path, type: 'file', size, mode: 0o644, uid: 1000, gid: 1000, modifiedAt: 1_700_000_000_000 }
}

async function* pieces(data: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < data.length; at += CHUNK.length) yield data.subarray(at, at + CHUNK.length)
}

async function* fewEvents(): AsyncGenerator<FileEvent> {
  yield { type: 'created', path: 'a' }
  yield { type: 'renamed', path: 'a', to: 'b' }
  yield { type: 'overflow' }
}
