import type { Duplex } from 'node:stream'
import { CoveError, type Clock, type Random } from '@cove/domain'
import { PREAMBLE_BYTES, PreambleScanner, type Fields } from '@cove/frames'
import { INSTANCE_BYTES, OPEN, PROTOCOL } from '../wire/tags.ts'
import type { FakeChannel } from './fake-channel.ts'
import { FakeFiles } from './fake-files.ts'
import { FAKE_OPERATIONS } from './fake-operations.ts'
import { FAKE_PROGRAMS } from './fake-programs.ts'
import type { FakeProcess, Program } from './fake-process.ts'
import { FakeSession, type Hello, type SessionHost } from './fake-session.ts'
import { memoryPair } from './memory-pair.ts'

export interface FakeGuestOptions {
  readonly clock: Clock
  readonly random: Random
  readonly agentVersion?: string
  /** Protocol versions that it speaks. Default: those of this package. */
  readonly versions?: { readonly newest: number; readonly oldest: number }
  /** Further programs by name; the usual ones are there. */
  readonly programs?: Readonly<Record<string, Program>>
  /** Its files; default: a fresh tree. */
  readonly files?: FakeFiles
}

/** A server inside the guest that `dial` reaches. */
export type FakeServer = (stream: Duplex) => void

/**
 * A guest agent in memory: it speaks the guest's side of the protocol on any byte stream, with files, processes and
 * servers that are only simulated. It outlives its streams, as the real one does.
 */
export class FakeGuest implements SessionHost {
  readonly agentVersion: string
  readonly instance: Buffer
  readonly newestVersion: number
  readonly clock: Clock
  readonly files: FakeFiles
  readonly programs: Readonly<Record<string, Program>>
  readonly processes = new Map<string, FakeProcess>()
  /** By `port` or unix path. */
  readonly servers = new Map<number | string, FakeServer>()
  /** Resolves when the agent has ended. */
  readonly exited: Promise<void>
  readonly startedAt: number
  hostname = ''
  env: Readonly<Record<string, string>> = {}
  /** For requests that name none. */
  user: string | undefined
  workdir: string | undefined
  quiet = false
  nextPid = 2
  readonly #oldestVersion: number
  readonly #streams = new Set<Duplex>()
  #session: FakeSession | undefined
  #token: Buffer | undefined
  #epoch = 0
  #resolveExited: () => void = () => {}
  #over = false

  constructor(options: FakeGuestOptions) {
    this.clock = options.clock
    this.agentVersion = options.agentVersion ?? '0.0.0-fake'
    this.newestVersion = options.versions?.newest ?? PROTOCOL.newest
    this.#oldestVersion = options.versions?.oldest ?? PROTOCOL.oldest
    this.instance = Buffer.from(options.random.bytes(INSTANCE_BYTES))
    this.files = options.files ?? new FakeFiles(options.clock)
    this.programs = { ...FAKE_PROGRAMS, ...options.programs }
    this.startedAt = options.clock.monotonic()
    this.exited = new Promise((resolve) => {
      this.#resolveExited = resolve
    })
  }

  /** A new connection to it: the host's end. Rejects with `guest-unreachable` when the agent has ended. */
  connect(): Promise<Duplex> {
    if (this.#over) return Promise.reject(new CoveError('guest-unreachable', 'the guest agent has ended'))
    const [host, guest] = memoryPair()
    this.serve(guest)
    return Promise.resolve(host)
  }

  /** Serves one connection, or one stream that outlives sessions. */
  serve(stream: Duplex, options: { readonly singleStream?: boolean } = {}): void {
    this.#streams.add(stream)
    stream.on('error', () => {})
    stream.on('close', () => this.#streams.delete(stream))
    const single = options.singleStream ?? false
    const scanner = new PreambleScanner()
    let session: FakeSession | undefined
    const send = (bytes: Buffer): void => {
      if (stream.writable) stream.write(bytes)
    }
    const onOver = (): void => {
      if (!single) stream.end()
    }
    const drop = (): void => {
      if (session !== undefined && session !== this.#session) session.end(undefined)
    }
    stream.on('data', (chunk: Buffer) => {
      let from = 0
      for (;;) {
        const found = single || session === undefined ? scanner.push(chunk, from) : undefined
        if (found === undefined) break
        session?.push(chunk.subarray(from, Math.max(from, found.end - PREAMBLE_BYTES)))
        drop()
        session = new FakeSession(this, found.nonce, send, onOver, !single)
        from = found.end
      }
      if (from < chunk.length) session?.push(chunk.subarray(from))
    })
    const gone = (): void => session?.end(undefined)
    stream.on('end', gone)
    stream.on('close', gone)
  }

  /** The machine is killed: everything in it ends at once. */
  stop(): void {
    if (this.#over) return
    this.#over = true
    for (const process of this.processes.values()) if (process.exit === undefined) process.signal(9)
    this.#session?.end(undefined)
    for (const stream of this.#streams) stream.destroy()
    this.#resolveExited()
  }

  /** As it goes on from a saved memory, over files of its own; what runs in it is not taken along. */
  copy(files: FakeFiles, random: Random): FakeGuest {
    const { clock, agentVersion, programs } = this
    const versions = { newest: this.newestVersion, oldest: this.#oldestVersion }
    const copy = new FakeGuest({ clock, random, agentVersion, versions, programs, files })
    copy.#token = this.#token
    copy.#epoch = this.#epoch
    copy.hostname = this.hostname
    copy.env = this.env
    copy.user = this.user
    copy.workdir = this.workdir
    return copy
  }

  /** Later sessions must show this one. */
  rebind(token: Uint8Array): void {
    this.#token = Buffer.from(token)
  }

  accept(session: FakeSession, hello: Hello): number | CoveError {
    if (this.#token !== undefined && !this.#token.equals(hello.token)) {
      return new CoveError('unauthenticated', 'the token is not the one of this machine')
    }
    if (hello.newest < this.#oldestVersion || hello.oldest > this.newestVersion) {
      return new CoveError('unsupported', `this agent speaks versions ${this.#oldestVersion} to ${this.newestVersion}`)
    }
    if (hello.epoch <= this.#epoch) return new CoveError('stale-session', 'another session is newer')
    this.#token = hello.token
    this.#epoch = hello.epoch
    this.#session?.takenOver()
    // Quiet lasts no longer than the session that asked for it.
    this.quiet = false
    this.#session = session
    return Math.min(hello.newest, this.newestVersion)
  }

  async run(channel: FakeChannel, request: Fields): Promise<void> {
    const operation = FAKE_OPERATIONS[request.needNumber(OPEN.operation)]
    if (operation === undefined) throw new CoveError('unsupported', 'this agent does not know the operation')
    await operation(this, channel, request)
  }
}
