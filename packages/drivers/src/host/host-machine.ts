import { stat } from 'node:fs/promises'
import type { Duplex } from 'node:stream'
import { CoveError, type Exit, type LimitReport, type Machine, type MachineId, type MachineStats } from '@cove/domain'
import type { HostProcess } from '@cove/runner'
import type { CgroupFiles } from '../cgroups/plan.ts'
import { readStats, setFrozen } from './cgroup-readings.ts'
import { connectSocket } from './connect-socket.ts'

export interface HostMachineParts {
  readonly id: MachineId
  readonly limits: readonly LimitReport[]
  readonly process: HostProcess
  /** Where the guest agent listens, or how else it is reached: then there is one stream for all sessions. */
  readonly socket: string | ((signal: AbortSignal) => Promise<Duplex>)
  readonly files: CgroupFiles
  /** Sparse file that holds what the machine has written, where there is one. */
  readonly diskImage?: string
  /** From how the host process ended to how the machine ended. */
  readonly exitOf: (exit: Exit) => Promise<Exit>
  /** Asks the guest to end. */
  readonly ask: () => Promise<void>
  /** Ends everything in the machine without asking. */
  readonly force: () => Promise<void>
  /** Absent where the machine names itself, or shares the host's name. */
  readonly rename?: (hostname: string) => Promise<void>
}

/** Of `st_blocks`, whatever the file system's own blocks are. */
const BLOCK_BYTES = 512
const SOCKET_GRACE_MS = 200
/**
 * The first process of a pid namespace does not hear a signal before it listens for it, and a machine may be asked
 * to end while its agent is still starting. Later the agent has heard it, and counts its own grace from then.
 */
const ASK_AGAIN_MS = [20, 40, 80, 160, Number.POSITIVE_INFINITY]

const FREEZE_ATTEMPTS = 12
const FREEZE_ATTEMPT_MS = 400

/** A machine that is host processes under the launcher. */
export class HostMachine implements Machine {
  readonly id: MachineId
  /** Others after they have been changed. */
  limits: readonly LimitReport[]
  readonly exited: Promise<Exit>
  readonly singleStream: boolean
  protected readonly parts: HostMachineParts

  constructor(parts: HostMachineParts) {
    this.id = parts.id
    this.limits = parts.limits
    this.parts = parts
    this.singleStream = typeof parts.socket !== 'string'
    this.exited = parts.process.exited.then(parts.exitOf)
  }

  async connectGuest(signal: AbortSignal): Promise<Duplex> {
    const { socket, process } = this.parts
    // What a killed tool has started may still be there for a moment, and answer.
    if (process.exit !== undefined) throw await this.#hasEnded()
    try {
      return await (typeof socket === 'string' ? connectSocket(socket, signal) : socket(signal))
    } catch (error) {
      if (signal.aborted) throw error
      // The end of the process is told a moment after its socket has gone, and says more.
      const ended = await Promise.race([process.exited, pause(SOCKET_GRACE_MS)])
      if (ended === undefined) throw error
      throw await this.#hasEnded(error)
    }
  }

  async #hasEnded(cause?: unknown): Promise<CoveError> {
    const context = { ...(await this.#lastWords()) }
    return new CoveError('guest-unreachable', `machine ${this.id} has ended`, context, { cause })
  }

  async stop(graceMs: number): Promise<Exit> {
    if (this.parts.process.exit !== undefined) return this.exited
    const end = performance.now() + graceMs
    for (const wait of ASK_AGAIN_MS) {
      const left = end - performance.now()
      if (left <= 0) break
      // Whoever does not even hear the question is not waited for.
      await Promise.race([this.parts.ask(), this.exited, pause(left)])
      const ended = await Promise.race([this.exited, pause(Math.min(wait, left))])
      if (ended !== undefined) return ended
    }
    await this.parts.force()
    return this.exited
  }

  async rename(hostname: string): Promise<void> {
    await this.parts.rename?.(hostname)
  }

  async stats(): Promise<MachineStats> {
    const { files, diskImage } = this.parts
    const image = diskImage === undefined ? undefined : await stat(diskImage).catch(() => undefined)
    const stats = await readStats(files)
    return image === undefined ? stats : { ...stats, diskBytes: image.blocks * BLOCK_BYTES }
  }

  /** What bwrap or the agent said on stderr, when something went wrong before the guest could speak. */
  async #lastWords(): Promise<{ readonly stderr?: string }> {
    const stderr = await this.parts.process.output('stderr').catch(() => new Uint8Array())
    const text = Buffer.from(stderr).toString('utf8').trim().slice(-500)
    return text === '' ? {} : { stderr: text }
  }
}

/** Where the kernel can freeze all of it. */
export class PausableHostMachine extends HostMachine {
  readonly #freeze: NonNullable<CgroupFiles['freeze']>

  constructor(parts: HostMachineParts, freeze: NonNullable<CgroupFiles['freeze']>) {
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
    if (this.parts.process.exit === undefined) {
      await this.#set(false).catch(async (error: unknown) => {
        // Its groups go with it.
        if ((await Promise.race([this.parts.process.exited, pause(SOCKET_GRACE_MS)])) === undefined) throw error
      })
    }
    return super.stop(graceMs)
  }

  async #set(frozen: boolean): Promise<void> {
    const done = await this.#settle(frozen).catch((cause: unknown) => {
      throw new CoveError(
        'driver-failed',
        `machine ${this.id} cannot be ${frozen ? 'paused' : 'resumed'}`,
        {},
        { cause },
      )
    })
    if (done) return
    throw new CoveError('driver-failed', `machine ${this.id} did not ${frozen ? 'freeze' : 'wake'} in time`)
  }

  /**
   * A process that waits in the kernel for another one, which is frozen already, cannot be frozen itself: all are woken
   * then, and frozen again.
   */
  async #settle(frozen: boolean): Promise<boolean> {
    if (!frozen) return setFrozen(this.#freeze, false)
    for (let attempt = 0; attempt < FREEZE_ATTEMPTS; attempt += 1) {
      if (await setFrozen(this.#freeze, true, FREEZE_ATTEMPT_MS)) return true
      await setFrozen(this.#freeze, false)
    }
    return false
  }
}

export function hostMachine(parts: HostMachineParts): HostMachine {
  const { freeze } = parts.files
  return freeze === undefined ? new HostMachine(parts) : new PausableHostMachine(parts, freeze)
}

function pause(ms: number): Promise<undefined> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms, undefined).unref()
  })
}
