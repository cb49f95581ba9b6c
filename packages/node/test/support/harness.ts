import { createHash } from 'node:crypto'
import {
  newSandboxId,
  type Log,
  type LogFields,
  type NodeSandbox,
  type Random,
  type SandboxId,
  type SandboxSpec,
  type Store,
} from '@cove/domain'
import { ManualClock } from '@cove/domain/manual-clock'
import { FakeWorld, type FakeMachineState } from '@cove/drivers/testing'
import { MemoryStore } from '@cove/store'
import type { CoveNode } from '../../src/cove-node.ts'
import { openNodeWith, type NodeOptions } from '../../src/open-node.ts'
import { Fuse } from './fuse.ts'
import { TestDriver } from './test-driver.ts'
import { TestLinks } from './test-links.ts'

/** Bytes that look random and are the same in every run. */
export class SeededRandom implements Random {
  #count = 0
  bytes(count: number): Uint8Array {
    const chunks: Buffer[] = []
    for (let have = 0; have < count; have += 32) {
      chunks.push(
        createHash('sha256')
          .update(String(this.#count++))
          .digest(),
      )
    }
    return Uint8Array.from(Buffer.concat(chunks).subarray(0, count))
  }
}

/** Keeps every line, so that a test can look for what must not be in one. */
export class MemoryLog implements Log {
  readonly lines: string[] = []
  debug = (message: string, fields?: LogFields): void => this.#keep(message, fields)
  info = (message: string, fields?: LogFields): void => this.#keep(message, fields)
  warn = (message: string, fields?: LogFields): void => this.#keep(message, fields)
  error = (message: string, fields?: LogFields): void => this.#keep(message, fields)
  child = (): Log => this
  #keep(message: string, fields: LogFields | undefined): void {
    this.lines.push(`${message} ${JSON.stringify(fields ?? {})}`)
  }
}

export interface Daemon {
  readonly node: CoveNode
  readonly driver: TestDriver
  readonly links: TestLinks
  readonly fuse: Fuse
}

/** A host with one fake driver, on which daemons come and go. */
export class Host {
  readonly clock = new ManualClock()
  readonly random = new SeededRandom()
  readonly world = new FakeWorld(this.clock, this.random)
  /** Of all sessions that any daemon opened here, in their order. */
  readonly epochs: number[] = []
  readonly log = new MemoryLog()
  readonly store: Store = new MemoryStore({ clock: this.clock })

  /** The only machine that runs. */
  get single(): FakeMachineState {
    const [machine, ...others] = [...this.world.machines.values()].filter(({ exit }) => exit === undefined)
    if (machine === undefined || others.length > 0) throw new Error(`${others.length} other machines`)
    return machine
  }

  /** How many machines and disks there are. */
  get count(): readonly [number, number] {
    return [this.world.machines.size, this.world.disks.size]
  }

  /** What a daemon is opened over; the caller may die with its fuse. */
  parts(fuse = new Fuse()): { driver: TestDriver; links: TestLinks; fuse: Fuse } {
    return { driver: new TestDriver(this.world, fuse), links: new TestLinks(fuse, this.epochs), fuse }
  }

  async open(parts = this.parts(), options: Partial<NodeOptions> = {}): Promise<Daemon> {
    const { driver, links, fuse } = parts
    const node = await openNodeWith(links.openLink, {
      name: 'here',
      drivers: [driver],
      store: fuse.store(this.store),
      clock: this.clock,
      random: this.random,
      log: this.log,
      ...options,
    })
    return { node, driver, links, fuse }
  }

  spec(changes: Partial<SandboxSpec> = {}): SandboxSpec {
    return {
      id: newSandboxId(this.random),
      project: 'default',
      template: 'host',
      from: { kind: 'host' },
      volumes: [],
      limits: { processes: { value: 10, required: false } },
      network: { kind: 'none' },
      env: { GREETING: 'hello' },
      labels: {},
      idleTimeout: 'never',
      lifetime: 'never',
      createdAt: this.clock.now(),
      ...changes,
    }
  }

  /** Everything that `node.db` knows about machines, as text. */
  async records(): Promise<string[]> {
    const { items } = await this.store.range({ prefix: 'machine/' })
    return items.map(({ value }) => Buffer.from(value).toString('utf8'))
  }
}

export async function stateOf(node: CoveNode, id: SandboxId): Promise<NodeSandbox | undefined> {
  return (await node.list()).find((sandbox) => sandbox.id === id)
}

/** Resolves after everything that can go on without time passing has gone on. */
export async function quiet(turns = 20): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise(setImmediate)
}
