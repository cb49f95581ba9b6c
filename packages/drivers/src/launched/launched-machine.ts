import {
  CoveError,
  type CreateContext,
  type DiskContent,
  type DiskReader,
  type Exit,
  type LimitReport,
  type Limits,
  type Pausable,
  type Resizable,
} from '@cove/domain'
import type { CgroupFiles } from '../cgroups/plan.ts'
import { isFrozen } from '../host/cgroup-readings.ts'
import { HostMachine, PausableHostMachine, type HostMachineParts } from '../host/host-machine.ts'

export interface LaunchedMachineParts extends HostMachineParts {
  /** Changes limits, and remembers it; answers all that hold now. */
  readonly resize: (limits: Limits, reports: readonly LimitReport[]) => Promise<readonly LimitReport[]>
  /** What has been written; the machine stands still meanwhile. */
  readonly readDisk: () => Promise<DiskContent & AsyncDisposable>
}

/** Under the launcher, on a host that cannot freeze it. */
class LaunchedMachine extends HostMachine implements Resizable {
  readonly #parts: LaunchedMachineParts

  constructor(parts: LaunchedMachineParts) {
    super(parts)
    this.#parts = parts
  }

  resize(limits: Limits): Promise<readonly LimitReport[]> {
    return resized(this, this.#parts, limits)
  }
}

/** Under the launcher, on a host that can freeze it: paused, and read while it stands still. */
export class FreezableMachine extends PausableHostMachine implements Pausable, Resizable, DiskReader {
  readonly #parts: LaunchedMachineParts
  readonly #freeze: NonNullable<CgroupFiles['freeze']>
  #readers = 0
  /** Goes on when the last reader is done, unless it has been paused. */
  #goesOn = false
  #freezing: Promise<unknown> = Promise.resolve()

  constructor(parts: LaunchedMachineParts, freeze: NonNullable<CgroupFiles['freeze']>) {
    super(parts, freeze)
    this.#parts = parts
    this.#freeze = freeze
  }

  resize(limits: Limits): Promise<readonly LimitReport[]> {
    return resized(this, this.#parts, limits)
  }

  override pause(): Promise<void> {
    return this.#inOrder(async () => {
      this.#goesOn = false
      await super.pause()
    })
  }

  /** While its disk is read it goes on as soon as that is done. */
  override resume(): Promise<void> {
    return this.#inOrder(async () => {
      this.#goesOn = true
      if (this.#readers === 0) await super.resume()
    })
  }

  async readDisk(context: CreateContext): Promise<DiskContent & AsyncDisposable> {
    if (this.parts.process.exit !== undefined) throw new CoveError('wrong-state', `machine ${this.id} has ended`)
    await this.#inOrder(() => this.#hold())
    try {
      if (context.signal.aborted) throw CoveError.from(context.signal.reason, 'cancelled')
      const content = await this.#parts.readDisk()
      let open = true
      return {
        ...content,
        [Symbol.asyncDispose]: async () => {
          if (!open) return
          open = false
          await content[Symbol.asyncDispose]()
          await this.#inOrder(() => this.#release())
        },
      }
    } catch (error) {
      await this.#inOrder(() => this.#release())
      throw error
    }
  }

  async #hold(): Promise<void> {
    if (this.#readers === 0) {
      this.#goesOn = !(await isFrozen(this.#freeze))
      if (this.#goesOn) await super.pause()
    }
    this.#readers++
  }

  async #release(): Promise<void> {
    this.#readers--
    if (this.#readers > 0 || !this.#goesOn || this.parts.process.exit !== undefined) return
    // A machine that has ended meanwhile needs not go on.
    await super.resume().catch(async (error: unknown) => {
      if (!(await this.#endsSoon())) throw error
    })
  }

  async #endsSoon(): Promise<boolean> {
    const ended: Exit | undefined = await Promise.race([this.exited, later()])
    return ended !== undefined
  }

  #inOrder<Value>(step: () => Promise<Value>): Promise<Value> {
    const done = this.#freezing.then(step)
    this.#freezing = done.catch(() => undefined)
    return done
  }
}

const END_MS = 500

function later(): Promise<undefined> {
  return new Promise((resolve) => {
    setTimeout(resolve, END_MS, undefined).unref()
  })
}

async function resized(
  machine: HostMachine,
  parts: LaunchedMachineParts,
  limits: Limits,
): Promise<readonly LimitReport[]> {
  if (parts.process.exit !== undefined) throw new CoveError('wrong-state', `machine ${machine.id} has ended`)
  machine.limits = await parts.resize(limits, machine.limits)
  return machine.limits
}

export function launchedMachine(parts: LaunchedMachineParts): HostMachine {
  const { freeze } = parts.files
  return freeze === undefined ? new LaunchedMachine(parts) : new FreezableMachine(parts, freeze)
}
