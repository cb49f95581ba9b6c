import type { Duplex } from 'node:stream'
import type {
  AttachFrom,
  CoveError,
  DialTarget,
  FileContent,
  FileEvent,
  FileInfo,
  FileOptions,
  GuestIdentity,
  GuestMetrics,
  ListOptions,
  MakeDirectoryOptions,
  ProcessId,
  ProcessInfo,
  ProcessStream,
  ReadFileOptions,
  RemoveOptions,
  StartProcess,
  StdinOptions,
  TerminalSize,
  WatchOptions,
  WriteFileOptions,
} from '@cove/domain'
import type { Welcome } from './greeting.ts'
import type { GuestLink } from './guest-link.ts'
import { dial } from './operations/dial.ts'
import * as files from './operations/files.ts'
import { list } from './operations/list.ts'
import * as machine from './operations/machine.ts'
import * as processes from './operations/processes.ts'
import { watch } from './operations/watch.ts'
import type { Session } from './session.ts'
import type { Sessions } from './sessions.ts'

/** Hands every call to the session that lives, which is made anew after a drop. */
export class Link implements GuestLink {
  readonly closed: Promise<CoveError | undefined>
  readonly #sessions: Sessions
  #welcome: Welcome

  constructor(sessions: Sessions, welcome: Welcome) {
    this.#sessions = sessions
    this.#welcome = welcome
    this.closed = sessions.closed
  }

  get agentVersion(): string {
    return this.#welcome.agentVersion
  }

  get instance(): string {
    return this.#welcome.instance
  }

  async start(request: StartProcess, signal?: AbortSignal): Promise<ProcessStream> {
    return processes.start(await this.#session(signal), request, signal)
  }

  async attach(id: ProcessId, from: AttachFrom, signal?: AbortSignal): Promise<ProcessStream> {
    return processes.attach(await this.#session(signal), id, from, signal)
  }

  async processes(signal?: AbortSignal): Promise<readonly ProcessInfo[]> {
    return processes.processes(await this.#session(signal), signal)
  }

  async writeStdin(
    id: ProcessId,
    content: AsyncIterable<Uint8Array>,
    options: StdinOptions,
    signal?: AbortSignal,
  ): Promise<void> {
    await processes.writeStdin(await this.#session(signal), id, content, options, signal)
  }

  async signal(id: ProcessId, signalNumber: number, signal?: AbortSignal): Promise<void> {
    await processes.sendSignal(await this.#session(signal), id, signalNumber, signal)
  }

  async resize(id: ProcessId, size: TerminalSize, signal?: AbortSignal): Promise<void> {
    await processes.resize(await this.#session(signal), id, size, signal)
  }

  async readFile(path: string, options: ReadFileOptions = {}, signal?: AbortSignal): Promise<FileContent> {
    return files.readFile(await this.#session(signal), path, options, signal)
  }

  async writeFile(
    path: string,
    content: AsyncIterable<Uint8Array>,
    options: WriteFileOptions = {},
    signal?: AbortSignal,
  ): Promise<FileInfo> {
    return files.writeFile(await this.#session(signal), path, content, options, signal)
  }

  async stat(path: string, options: FileOptions = {}, signal?: AbortSignal): Promise<FileInfo> {
    return files.stat(await this.#session(signal), path, options, signal)
  }

  async *list(path: string, options: ListOptions = {}, signal?: AbortSignal): AsyncGenerator<FileInfo, undefined> {
    return yield* list(await this.#session(signal), path, options, signal)
  }

  async makeDirectory(path: string, options: MakeDirectoryOptions = {}, signal?: AbortSignal): Promise<void> {
    await files.makeDirectory(await this.#session(signal), path, options, signal)
  }

  async move(from: string, to: string, options: FileOptions = {}, signal?: AbortSignal): Promise<void> {
    await files.move(await this.#session(signal), from, to, options, signal)
  }

  async remove(path: string, options: RemoveOptions = {}, signal?: AbortSignal): Promise<void> {
    await files.remove(await this.#session(signal), path, options, signal)
  }

  async chmod(path: string, mode: number, options: FileOptions = {}, signal?: AbortSignal): Promise<void> {
    await files.chmod(await this.#session(signal), path, mode, options, signal)
  }

  async symlink(target: string, path: string, options: FileOptions = {}, signal?: AbortSignal): Promise<void> {
    await files.symlink(await this.#session(signal), target, path, options, signal)
  }

  async watch(path: string, options: WatchOptions = {}, signal?: AbortSignal): Promise<AsyncIterable<FileEvent>> {
    return watch(await this.#session(signal), path, options, signal)
  }

  async dial(target: DialTarget, signal?: AbortSignal): Promise<Duplex> {
    return dial(await this.#session(signal), target, signal)
  }

  async metrics(signal?: AbortSignal): Promise<GuestMetrics> {
    return machine.metrics(await this.#session(signal), signal)
  }

  async configure(identity: GuestIdentity, signal?: AbortSignal): Promise<void> {
    const session = await this.#session(signal)
    const { token } = identity
    if (token !== undefined) this.#sessions.expectToken(token)
    await machine.configure(session, identity, signal)
    if (token !== undefined) this.#sessions.useToken(token)
  }

  async quiesce(on: boolean, signal?: AbortSignal): Promise<void> {
    await machine.quiesce(await this.#session(signal), on, signal)
  }

  async shutdown(graceMs: number, signal?: AbortSignal): Promise<void> {
    await machine.shutdown(await this.#session(signal), graceMs, signal)
  }

  close(): Promise<void> {
    this.#sessions.close()
    return Promise.resolve()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #session(signal: AbortSignal | undefined): Promise<Session> {
    const { session, welcome } = await this.#sessions.get(signal)
    this.#welcome = welcome
    return session
  }
}
