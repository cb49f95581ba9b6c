import { readFile } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import type { Duplex } from 'node:stream'
import {
  CoveError,
  type CreateContext,
  type DiskContent,
  type DiskReader,
  type Exit,
  type LimitReport,
  type Machine,
  type MachineId,
  type MachineStats,
  type Pausable,
} from '@cove/domain'
import type { CgroupFiles } from '../cgroups/plan.ts'
import { readStats, setFrozen } from '../host/cgroup-readings.ts'
import { connectInside } from './connect-inside.ts'
import { signalProcess, type LiveProcess } from './live-process.ts'

export interface ContainerdMachineParts {
  readonly id: MachineId
  readonly limits: readonly LimitReport[]
  /** The guest agent, on the host. */
  readonly process: LiveProcess
  readonly files: CgroupFiles
  readonly exited: Promise<Exit>
  /** Has containerd asked whether it has ended. */
  readonly look: () => Promise<void>
  /** Where the machine's own files are on the host. */
  readonly upper: () => Promise<string>
}

const LISTEN_MS = 10_000
const FIRST_WAIT_MS = 1
const MAX_WAIT_MS = 20
/** containerd tells the end of a process a moment after its socket has gone. */
const END_MS = 1_000
/** As for every first process of a pid namespace: a signal is not heard before it is listened for. */
const ASK_AGAIN_MS = [20, 40, 80, 160, Number.POSITIVE_INFINITY]

export class ContainerdMachine implements Machine, DiskReader {
  readonly id: MachineId
  readonly limits: readonly LimitReport[]
  readonly exited: Promise<Exit>
  protected readonly parts: ContainerdMachineParts
  #exit: Exit | undefined

  constructor(parts: ContainerdMachineParts) {
    this.id = parts.id
    this.limits = parts.limits
    this.parts = parts
    this.exited = parts.exited.then((exit) => {
      this.#exit = exit
      return exit
    })
  }

  async connectGuest(signal: AbortSignal): Promise<Duplex> {
    if (signal.aborted) throw CoveError.from(signal.reason, 'cancelled')
    try {
      if (this.#exit !== undefined) throw new CoveError('guest-unreachable', 'its process is gone')
      return await this.#connect(signal)
    } catch (error) {
      if (signal.aborted) throw CoveError.from(signal.reason, 'cancelled')
      await this.parts.look()
      const ended = await Promise.race([this.exited, pause(END_MS, undefined, { ref: false })])
      if (ended === undefined) throw error
      throw new CoveError('guest-unreachable', `machine ${this.id} has ended`, {}, { cause: error })
    }
  }

  async stop(graceMs: number): Promise<Exit> {
    const end = performance.now() + graceMs
    for (const wait of ASK_AGAIN_MS) {
      const left = end - performance.now()
      if (this.#exit !== undefined || left <= 0) break
      if (!(await signalProcess(this.parts.process, 'SIGTERM'))) break
      const ended = await Promise.race([this.exited, pause(Math.min(wait, left), undefined, { ref: false })])
      if (ended !== undefined) return ended
    }
    // The kernel ends everything in a pid namespace with its first process.
    if (this.#exit === undefined) await signalProcess(this.parts.process, 'SIGKILL')
    return this.exited
  }

  stats(): Promise<MachineStats> {
    return readStats(this.parts.files)
  }

  async readDisk(_context: CreateContext): Promise<DiskContent & AsyncDisposable> {
    const { freeze } = this.parts.files
    const path = await this.parts.upper()
    const alive = freeze !== undefined && this.#exit === undefined && !(await isFrozen(freeze.state))
    if (alive && !(await setFrozen(freeze, true))) {
      await setFrozen(freeze, false)
      throw new CoveError('driver-failed', `machine ${this.id} did not freeze in time`)
    }
    return {
      kind: 'upper',
      parts: [{ path, at: '/' }],
      idBase: 0,
      [Symbol.asyncDispose]: async () => {
        // One that has been ended meanwhile has nothing to be woken.
        if (alive) await setFrozen(freeze, false).catch(() => undefined)
      },
    }
  }

  /** Waits for an agent that does not listen yet. */
  async #connect(signal: AbortSignal): Promise<Duplex> {
    const end = performance.now() + LISTEN_MS
    for (let wait = FIRST_WAIT_MS; ; wait = Math.min(wait * 2, MAX_WAIT_MS)) {
      try {
        return await connectInside(this.parts.process.pid, signal)
      } catch (error) {
        const lives = await signalProcess(this.parts.process, 0)
        if (signal.aborted || !lives || performance.now() > end) throw error
        await pause(wait, undefined, { signal, ref: false })
      }
    }
  }
}

/** Where the kernel can freeze all of it. */
export class PausableContainerdMachine extends ContainerdMachine implements Pausable {
  readonly #freeze: NonNullable<CgroupFiles['freeze']>

  constructor(parts: ContainerdMachineParts, freeze: NonNullable<CgroupFiles['freeze']>) {
    super(parts)
    this.#freeze = freeze
  }

  async pause(): Promise<void> {
    await this.#set(true)
  }

  async resume(): Promise<void> {
    await this.#set(false)
  }

  /** A frozen process does not hear signals: it is woken first. */
  override async stop(graceMs: number): Promise<Exit> {
    await setFrozen(this.#freeze, false).catch(() => undefined)
    return super.stop(graceMs)
  }

  async #set(frozen: boolean): Promise<void> {
    const done = await setFrozen(this.#freeze, frozen).catch((cause: unknown) => {
      const what = frozen ? 'paused' : 'resumed'
      throw new CoveError('driver-failed', `machine ${this.id} cannot be ${what}`, {}, { cause })
    })
    if (done) return
    if (frozen) await setFrozen(this.#freeze, false).catch(() => undefined)
    throw new CoveError('driver-failed', `machine ${this.id} did not ${frozen ? 'freeze' : 'wake'} in time`)
  }
}

/** It stood still before, and goes on doing so. */
async function isFrozen(state: string): Promise<boolean> {
  return /^(FROZEN|frozen 1)$/m.test(await readFile(state, 'utf8').catch(() => ''))
}

export function containerdMachine(parts: ContainerdMachineParts): ContainerdMachine {
  const { freeze } = parts.files
  return freeze === undefined ? new ContainerdMachine(parts) : new PausableContainerdMachine(parts, freeze)
}
