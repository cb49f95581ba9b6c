import { setTimeout as pause } from 'node:timers/promises'
import type { Duplex } from 'node:stream'
import {
  CoveError,
  type CreateContext,
  type DiskContent,
  type DiskReader,
  type Exit,
  type LimitReport,
  type Limits,
  type Machine,
  type MachineId,
  type MachineStats,
  type Pausable,
  type Resizable,
} from '@cove/domain'
import type { CgroupFiles } from '../cgroups/plan.ts'
import { isFrozen, readStats, setFrozen } from '../host/cgroup-readings.ts'
import { connectInside } from './connect-inside.ts'
import { signalProcess, type LiveProcess } from '../host/live-process.ts'

export interface ContainerdMachineParts {
  readonly id: MachineId
  readonly limits: readonly LimitReport[]
  /** The guest agent, on the host. */
  readonly process: LiveProcess
  readonly files: CgroupFiles
  readonly exited: Promise<Exit>
  /** Changes limits, and remembers it; answers all that hold now. */
  readonly resize: (limits: Limits, reports: readonly LimitReport[]) => Promise<readonly LimitReport[]>
  /** Absent where nobody can name a machine from outside. */
  readonly rename?: (hostname: string) => Promise<void>
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

export class ContainerdMachine implements Machine, Resizable {
  readonly id: MachineId
  limits: readonly LimitReport[]
  /** There only where it can be done. */
  declare readonly rename?: (hostname: string) => Promise<void>
  readonly exited: Promise<Exit>
  protected readonly parts: ContainerdMachineParts
  #exit: Exit | undefined

  constructor(parts: ContainerdMachineParts) {
    this.id = parts.id
    this.limits = parts.limits
    this.parts = parts
    if (parts.rename !== undefined) this.rename = parts.rename
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

  async resize(limits: Limits): Promise<readonly LimitReport[]> {
    this.refuseEnded()
    this.limits = await this.parts.resize(limits, this.limits)
    return this.limits
  }

  protected refuseEnded(): void {
    if (this.#exit !== undefined) throw new CoveError('wrong-state', `machine ${this.id} has ended`)
  }

  /** Waits for an agent that does not listen yet. */
  async #connect(signal: AbortSignal): Promise<Duplex> {
    const end = performance.now() + LISTEN_MS
    for (let wait = FIRST_WAIT_MS; ; wait = Math.min(wait * 2, MAX_WAIT_MS)) {
      try {
        return await connectInside(this.parts.process, signal)
      } catch (error) {
        const lives = await signalProcess(this.parts.process, 0)
        if (signal.aborted || !lives || performance.now() > end) throw error
        await pause(wait, undefined, { signal, ref: false })
      }
    }
  }
}

/** Where the kernel can freeze all of it: paused, and read while it stands still. */
class FreezableMachine extends ContainerdMachine implements Pausable, DiskReader {
  readonly #freeze: NonNullable<CgroupFiles['freeze']>
  #readers = 0
  /** Goes on when the last reader is done. */
  #goesOn = false
  #changing: Promise<unknown> = Promise.resolve()

  constructor(parts: ContainerdMachineParts, freeze: NonNullable<CgroupFiles['freeze']>) {
    super(parts)
    this.#freeze = freeze
  }

  pause(): Promise<void> {
    return this.#inOrder(async () => {
      this.#goesOn = false
      await this.#set(true)
    })
  }

  /** While its disk is read it goes on as soon as that is done. */
  resume(): Promise<void> {
    return this.#inOrder(async () => {
      this.#goesOn = true
      if (this.#readers === 0) await this.#set(false)
    })
  }

  /** A frozen process does not hear signals: it is woken first. */
  override async stop(graceMs: number): Promise<Exit> {
    await setFrozen(this.#freeze, false).catch(() => undefined)
    return super.stop(graceMs)
  }

  async readDisk({ signal }: CreateContext): Promise<DiskContent & AsyncDisposable> {
    this.refuseEnded()
    const path = await this.parts.upper()
    await this.#inOrder(() => this.#hold())
    let open = true
    const release = async (): Promise<void> => {
      if (!open) return
      open = false
      await this.#inOrder(() => this.#release())
    }
    if (signal.aborted) {
      await release()
      throw CoveError.from(signal.reason, 'cancelled')
    }
    return { kind: 'upper', parts: [{ path, at: '/' }], idBase: 0, [Symbol.asyncDispose]: release }
  }

  async #hold(): Promise<void> {
    if (this.#readers === 0) {
      this.#goesOn = !(await isFrozen(this.#freeze))
      if (this.#goesOn) await this.#set(true)
    }
    this.#readers += 1
  }

  async #release(): Promise<void> {
    this.#readers -= 1
    // One that has been ended meanwhile has nothing to be woken.
    if (this.#readers === 0 && this.#goesOn) await setFrozen(this.#freeze, false).catch(() => undefined)
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

  #inOrder(step: () => Promise<void>): Promise<void> {
    const done = this.#changing.then(step)
    this.#changing = done.catch(() => undefined)
    return done
  }
}

export function containerdMachine(parts: ContainerdMachineParts): ContainerdMachine {
  const { freeze } = parts.files
  return freeze === undefined ? new ContainerdMachine(parts) : new FreezableMachine(parts, freeze)
}
