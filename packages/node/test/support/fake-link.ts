import { CoveError, type GuestIdentity, type GuestMetrics } from '@cove/domain'
import type { GuestLink, GuestLinkOptions } from '@cove/guest-link'
import { FakeStream, type FakeMachine, type FakeWorld } from './fake-world.ts'
import type { Fuse } from './fuse.ts'

const METRICS: GuestMetrics = {
  at: 0,
  agentVersion: 'fake',
  uptimeMs: 0,
  processes: 0,
  memoryTotalBytes: 0,
  memoryUsedBytes: 0,
  diskTotalBytes: 0,
  diskUsedBytes: 0,
  loadAverage1: 0,
}

/** Sessions with fake machines: they check token and epoch as a guest does. */
export class FakeLinks {
  readonly #world: FakeWorld
  readonly #fuse: Fuse
  readonly open: FakeLink[] = []
  beforeConfigure: (identity: GuestIdentity) => Promise<void> = async () => {}
  /** A guest that does not react to the wish to end. */
  stubborn = false

  constructor(world: FakeWorld, fuse: Fuse) {
    this.#world = world
    this.#fuse = fuse
  }

  readonly openLink = async (options: GuestLinkOptions): Promise<GuestLink> => {
    const stream = await options.connect(options.signal ?? new AbortController().signal)
    if (!(stream instanceof FakeStream)) throw new Error('not a stream of a fake machine')
    const { machine } = stream
    const token = Buffer.from(options.token).toString('hex')
    const epoch = options.nextEpoch()
    await this.#fuse.step('hello')
    machine.token ??= token
    if (machine.token !== token) throw new CoveError('unauthenticated', 'wrong token')
    if (epoch <= machine.epoch) throw new CoveError('stale-session', 'an epoch that is not above the last')
    machine.epoch = epoch
    machine.sessions++
    const link = new FakeLink(machine, {
      configure: async (identity) => {
        await this.#fuse.step('configure begins')
        await this.beforeConfigure(identity)
        machine.identity = identity
        await this.#fuse.step('configured')
      },
      shutdown: async () => {
        await this.#fuse.step('shutdown begins')
        if (!this.stubborn) this.#world.end(machine.id, { kind: 'exited', code: 0 })
        await this.#fuse.step('shutdown is answered')
      },
    })
    this.open.push(link)
    return link
  }
}

interface FakeGuest {
  configure(identity: GuestIdentity): Promise<void>
  shutdown(): Promise<void>
}

export class FakeLink implements GuestLink {
  readonly agentVersion = 'fake'
  readonly instance = '00'
  readonly machine: FakeMachine
  readonly #guest: FakeGuest
  readonly #closed = Promise.withResolvers<CoveError | undefined>()
  isClosed = false

  constructor(machine: FakeMachine, guest: FakeGuest) {
    this.machine = machine
    this.#guest = guest
  }

  get closed(): Promise<CoveError | undefined> {
    return this.#closed.promise
  }

  configure(identity: GuestIdentity): Promise<void> {
    return this.#guest.configure(identity)
  }

  shutdown(): Promise<void> {
    return this.#guest.shutdown()
  }

  /** The stream breaks for good. */
  drop(): void {
    this.#closed.resolve(new CoveError('guest-unreachable', 'the stream broke'))
  }

  async close(): Promise<void> {
    this.isClosed = true
    this.#closed.resolve(undefined)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async metrics(): Promise<GuestMetrics> {
    if (this.isClosed || this.machine.exit !== undefined) throw new CoveError('guest-unreachable', 'the stream broke')
    return METRICS
  }

  quiesce = unused
  start = unused
  attach = unused
  processes = unused
  writeStdin = unused
  signal = unused
  resize = unused
  readFile = unused
  writeFile = unused
  stat = unused
  makeDirectory = unused
  move = unused
  remove = unused
  chmod = unused
  symlink = unused
  watch = unused
  dial = unused
  // eslint-disable-next-line require-yield
  async *list(): AsyncGenerator<never, void> {
    throw new CoveError('unsupported', 'fake')
  }
}

async function unused(): Promise<never> {
  throw new CoveError('unsupported', 'fake')
}
