import type { Duplex } from 'node:stream'
import { newProcessId, type ProcessEvent, type ProcessId, type StartProcess } from '@cove/domain'
import { systemRandom } from '@cove/domain/system'
import type { GuestLink } from '../guest-link.ts'
import { openGuestLink } from '../open-guest-link.ts'

/** What a kind of harness is like; known before one is made, so that stories can be chosen by it. */
export interface Traits {
  /** All connections are one and the same stream: a new one takes it from the last. */
  readonly singleStream: boolean
  /** Real processes and files, so that volumes and kernels matter. */
  readonly real: boolean
  /** More than one user exists in the guest. */
  readonly users: boolean
}

/** One fresh guest agent and what a test may do around it. */
export interface GuestHarness extends AsyncDisposable {
  /** True when all connections are one and the same stream. */
  readonly singleStream: boolean
  connect(signal?: AbortSignal): Promise<Duplex>
  /** A folder inside the guest that belongs to `owner` and is empty at first. */
  readonly folder: string
  readonly owner: string
  /** A user that may not touch what belongs to `owner`. */
  readonly stranger: string
  /** Puts a file with this name, any bytes, into `folder`. */
  plantFile(name: Buffer): Promise<void>
  /** Puts something that is neither file, directory nor link into `folder`; its path. */
  plantPipe(): Promise<string>
  /** Servers inside the guest that send back what they get and end when the client does. */
  echoServers(): Promise<{ readonly port: number; readonly unixPath: string; readonly deadPort: number }>
  /** Resolves when the agent has ended. */
  readonly exited: Promise<void>
}

/** Opens links to one harness, each with a newer epoch. */
export class Host implements AsyncDisposable {
  readonly harness: GuestHarness
  readonly token: Uint8Array
  /** Streams handed out so far, the newest last. */
  readonly streams: Duplex[] = []
  #epoch = 0
  readonly #links: GuestLink[] = []

  constructor(harness: GuestHarness, token: Uint8Array = systemRandom.bytes(32)) {
    this.harness = harness
    this.token = token
  }

  nextEpoch(): number {
    this.#epoch += 1
    return this.#epoch
  }

  async connect(signal?: AbortSignal): Promise<Duplex> {
    const stream = await this.harness.connect(signal)
    this.streams.push(stream)
    return stream
  }

  async open(options: { token?: Uint8Array; epoch?: number } = {}): Promise<GuestLink> {
    const link = await openGuestLink({
      connect: (signal) => this.connect(signal),
      token: options.token ?? this.token,
      nextEpoch: () => options.epoch ?? this.nextEpoch(),
      random: systemRandom,
      singleStream: this.harness.singleStream,
    })
    this.#links.push(link)
    return link
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const link of this.#links) await link.close()
    for (const stream of this.streams) stream.destroy()
    await this.harness[Symbol.asyncDispose]()
  }
}

export const ENV = { PATH: '/usr/bin:/bin' } as const

export function newId(): ProcessId {
  return newProcessId(systemRandom)
}

export interface Ran {
  readonly stdout: Buffer
  readonly stderr: Buffer
  readonly terminal: Buffer
  readonly gaps: readonly { readonly from: number; readonly to: number }[]
  /** Offset of the first byte that was told. */
  readonly first: number | undefined
  readonly exit: Extract<ProcessEvent, { type: 'exit' }> | undefined
}

/** Reads events until the end, and checks that offsets have no hole without a gap. */
export async function collect(events: AsyncIterable<ProcessEvent>): Promise<Ran> {
  const output = { stdout: [] as Buffer[], stderr: [] as Buffer[], terminal: [] as Buffer[] }
  const gaps: { from: number; to: number }[] = []
  let exit: Ran['exit']
  let first: number | undefined
  let offset: number | undefined
  for await (const event of events) {
    if (event.type === 'exit') exit = event
    else if (event.type === 'gap') {
      gaps.push({ from: event.from, to: event.to })
      offset = event.to
    } else {
      if (offset !== undefined && event.offset !== offset) throw new Error(`offset ${event.offset} after ${offset}`)
      first ??= event.offset
      offset = event.offset + event.data.length
      output[event.stream].push(Buffer.from(event.data))
    }
  }
  return {
    stdout: Buffer.concat(output.stdout),
    stderr: Buffer.concat(output.stderr),
    terminal: Buffer.concat(output.terminal),
    gaps,
    first,
    exit,
  }
}

/** Starts a command as the harness's owner. */
export function command(
  harness: GuestHarness,
  argv: readonly string[],
  more: Partial<StartProcess> = {},
): StartProcess {
  return { id: newId(), argv, env: ENV, user: harness.owner, cwd: '/', ...more }
}

export function script(harness: GuestHarness, text: string, more: Partial<StartProcess> = {}): StartProcess {
  return command(harness, ['/bin/sh', '-c', text], more)
}

/** Starts a command and reads it to its end. */
export async function run(link: GuestLink, process: StartProcess): Promise<Ran> {
  return collect((await link.start(process)).events)
}

export async function* chunks(...parts: readonly (Uint8Array | string)[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield await Promise.resolve(typeof part === 'string' ? Buffer.from(part) : part)
}

export async function readAll(content: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const part of content) parts.push(part)
  return Buffer.concat(parts)
}

export async function gather<Value>(values: AsyncIterable<Value>): Promise<Value[]> {
  const all: Value[] = []
  for await (const value of values) all.push(value)
  return all
}
