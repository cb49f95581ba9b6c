import type { Duplex } from 'node:stream'
import {
  CoveError,
  type AttachFrom,
  type DialTarget,
  type FileContent,
  type FileEvent,
  type FileInfo,
  type FileOptions,
  type Guest,
  type GuestMetrics,
  type ListOptions,
  type MakeDirectoryOptions,
  type ProcessId,
  type ProcessInfo,
  type ProcessStream,
  type ReadFileOptions,
  type RemoveOptions,
  type StartProcess,
  type StdinOptions,
  type TerminalSize,
  type WatchOptions,
  type WriteFileOptions,
} from '@cove/domain'

/** Where a handle finds the link of its machine, and why there is none any more. */
export interface LinkSource {
  link(signal?: AbortSignal): Promise<Guest>
  readonly ended: CoveError | undefined
}

/** What doors hold of one machine: every call goes over the link of the moment. */
export class GuestHandle implements Guest {
  readonly #source: LinkSource

  constructor(source: LinkSource) {
    this.#source = source
  }

  start(request: StartProcess, signal?: AbortSignal): Promise<ProcessStream> {
    return this.#call(signal, (guest) => guest.start(request, signal))
  }

  attach(id: ProcessId, from: AttachFrom, signal?: AbortSignal): Promise<ProcessStream> {
    return this.#call(signal, (guest) => guest.attach(id, from, signal))
  }

  processes(signal?: AbortSignal): Promise<readonly ProcessInfo[]> {
    return this.#call(signal, (guest) => guest.processes(signal))
  }

  writeStdin(
    id: ProcessId,
    content: AsyncIterable<Uint8Array>,
    options: StdinOptions,
    signal?: AbortSignal,
  ): Promise<void> {
    return this.#call(signal, (guest) => guest.writeStdin(id, content, options, signal))
  }

  signal(id: ProcessId, signalNumber: number, signal?: AbortSignal): Promise<void> {
    return this.#call(signal, (guest) => guest.signal(id, signalNumber, signal))
  }

  resize(id: ProcessId, size: TerminalSize, signal?: AbortSignal): Promise<void> {
    return this.#call(signal, (guest) => guest.resize(id, size, signal))
  }

  readFile(path: string, options?: ReadFileOptions, signal?: AbortSignal): Promise<FileContent> {
    return this.#call(signal, (guest) => guest.readFile(path, options, signal))
  }

  writeFile(
    path: string,
    content: AsyncIterable<Uint8Array>,
    options?: WriteFileOptions,
    signal?: AbortSignal,
  ): Promise<FileInfo> {
    return this.#call(signal, (guest) => guest.writeFile(path, content, options, signal))
  }

  stat(path: string, options?: FileOptions, signal?: AbortSignal): Promise<FileInfo> {
    return this.#call(signal, (guest) => guest.stat(path, options, signal))
  }

  async *list(path: string, options?: ListOptions, signal?: AbortSignal): AsyncGenerator<FileInfo, void> {
    try {
      yield* (await this.#source.link(signal)).list(path, options, signal)
    } catch (thrown) {
      throw this.#explain(thrown, signal)
    }
  }

  makeDirectory(path: string, options?: MakeDirectoryOptions, signal?: AbortSignal): Promise<void> {
    return this.#call(signal, (guest) => guest.makeDirectory(path, options, signal))
  }

  move(from: string, to: string, options?: FileOptions, signal?: AbortSignal): Promise<void> {
    return this.#call(signal, (guest) => guest.move(from, to, options, signal))
  }

  remove(path: string, options?: RemoveOptions, signal?: AbortSignal): Promise<void> {
    return this.#call(signal, (guest) => guest.remove(path, options, signal))
  }

  chmod(path: string, mode: number, options?: FileOptions, signal?: AbortSignal): Promise<void> {
    return this.#call(signal, (guest) => guest.chmod(path, mode, options, signal))
  }

  symlink(target: string, path: string, options?: FileOptions, signal?: AbortSignal): Promise<void> {
    return this.#call(signal, (guest) => guest.symlink(target, path, options, signal))
  }

  watch(path: string, options?: WatchOptions, signal?: AbortSignal): Promise<AsyncIterable<FileEvent>> {
    return this.#call(signal, (guest) => guest.watch(path, options, signal))
  }

  dial(target: DialTarget, signal?: AbortSignal): Promise<Duplex> {
    return this.#call(signal, (guest) => guest.dial(target, signal))
  }

  metrics(signal?: AbortSignal): Promise<GuestMetrics> {
    return this.#call(signal, (guest) => guest.metrics(signal))
  }

  async #call<T>(signal: AbortSignal | undefined, ask: (guest: Guest) => Promise<T>): Promise<T> {
    try {
      return await ask(await this.#source.link(signal))
    } catch (thrown) {
      throw this.#explain(thrown, signal)
    }
  }

  /** A call that broke because its machine ended is told that, not how the stream broke. */
  #explain(thrown: unknown, signal: AbortSignal | undefined): unknown {
    const ended = this.#source.ended
    if (ended === undefined || signal?.aborted === true || !(thrown instanceof CoveError)) return thrown
    const broken = thrown.code === 'guest-unreachable' || thrown.code === 'cancelled' || thrown.code === 'stale-session'
    return broken ? ended : thrown
  }
}
