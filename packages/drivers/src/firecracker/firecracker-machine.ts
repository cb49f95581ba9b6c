import { randomBytes } from 'node:crypto'
import { chmod, chown, rm, writeFile } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import {
  CoveError,
  type Balloon,
  type CreateContext,
  type Exit,
  type HasConsole,
  type LimitReport,
  type Limits,
  type MemorySnapshotter,
  type Pausable,
  type Resizable,
  type SavedMachineMemory,
  type SnapshotId,
} from '@cove/domain'
import { copyFile, type CopiedFile } from '@cove/images'
import { HostMachine } from '../host/host-machine.ts'
import type { VmNote } from '../host/machine-note.ts'
import type { SnapshotStore } from '../host/snapshot-store.ts'
import type { MachineOf } from '../launched/driver.ts'
import type { LaunchedMachineParts } from '../launched/launched-machine.ts'
import { readConsoleEnd } from '../microvm/console-tail.ts'
import { ControlPort } from '../microvm/control-port.ts'
import { markOfState, partsOf, readState, type VmManifest } from '../microvm/saved-vm.ts'
import { Still } from '../microvm/still.ts'
import { FirecrackerApi } from './api-client.ts'
import { apiOf, CONTROL_PORT, INSIDE, STREAM_PORT, vsockOf } from './machine-spec.ts'
import { dialVsock } from './vsock.ts'

export interface FirecrackerParts {
  /** Where this machine's process writes what is saved of it. */
  readonly save: string
  readonly layersProgram: string | undefined
  /** Whom its process runs as. */
  base(): Promise<number>
  snapshots(): Promise<SnapshotStore<VmManifest>>
}

const MiB = 1024 * 1024
const ANSWER_MS = 10_000
/** Memory is written at the speed of the disk. */
const SAVE_MS = 10 * 60_000
const COME_UP_MS = 30_000
const POLL_MS = 5
const MAX_REASON = 300

/** One virtual machine of Firecracker. */
export class FirecrackerMachine
  extends HostMachine
  implements Pausable, Resizable, HasConsole, Balloon, MemorySnapshotter
{
  /** Every session is a connection of its own. */
  override readonly singleStream = false
  readonly api: FirecrackerApi
  readonly control: ControlPort
  readonly #of: MachineOf
  readonly #host: LaunchedMachineParts
  readonly #parts: FirecrackerParts
  readonly #still = new Still({
    stop: () => this.#setState('Paused'),
    goOn: () => this.#goOn(),
    isStopped: async () => (await this.#asked(this.api.call('GET /'))).state === 'Paused',
  })
  #saving: Promise<unknown> = Promise.resolve()
  /** What has changed in the memory since then is what a further snapshot needs. */
  #last: SnapshotId | undefined

  constructor(of: MachineOf, host: LaunchedMachineParts, parts: FirecrackerParts) {
    const vsock = vsockOf(of.prepared, host.id)
    const control = new ControlPort((signal) => dialVsock(vsock, CONTROL_PORT, signal) as Promise<Socket>)
    let asked = false
    // What the host counts are Firecracker's own threads; what freezes is the machine's processor, not Firecracker.
    const { processes: _, processLists: __, freeze: ___, ...files } = host.files
    // The agent has the right to name the machine.
    const { rename: ____, ...rest } = host
    super({
      ...rest,
      files,
      socket: (signal) => dialGuest(host, vsock, signal),
      exitOf: (exit) => exitOf(host, exit),
      ask: async () => {
        if (asked) return
        asked = true
        // One that has not come up yet does not listen, and is asked again.
        const stream = await dialVsock(vsock, CONTROL_PORT, AbortSignal.timeout(ANSWER_MS)).catch(() => undefined)
        asked = stream !== undefined
        if (stream === undefined) return
        stream.on('error', () => undefined).resume()
        stream.write('stop\n')
        void host.process.exited.then(() => stream.destroy())
      },
    })
    this.api = new FirecrackerApi(apiOf(of.prepared, host.id))
    this.control = control
    this.#of = of
    this.#host = host
    this.#parts = parts
    void host.process.exited.then(() => this.api.close())
  }

  /** What it was made with. */
  get made(): { readonly memoryBytes: number; readonly cpus: number } {
    return this.#vm()
  }

  /** It has just gone on from this snapshot. */
  wentOnFrom(id: SnapshotId): void {
    this.#last = id
  }

  /** What is inside becomes another machine than the one that was saved. */
  async takeIdentity(signal: AbortSignal): Promise<void> {
    await this.control.ask(`identity - ${Date.now()} ${randomBytes(32).toString('hex')}`, signal)
  }

  /** `guest-unreachable` with the reason when the machine has ended or never came up. */
  override async connectGuest(signal: AbortSignal): Promise<Duplex> {
    try {
      return await super.connectGuest(signal)
    } catch (error) {
      const reason = this.#host.process.exit === undefined ? undefined : await this.#reason()
      if (CoveError.from(error).code !== 'guest-unreachable' || reason === undefined) throw error
      throw new CoveError('guest-unreachable', `machine ${this.id} has ended: ${reason}`, {}, { cause: error })
    }
  }

  pause(): Promise<void> {
    return this.#still.pause()
  }

  resume(): Promise<void> {
    return this.#still.resume()
  }

  /** One that stands still does not hear. */
  override async stop(graceMs: number): Promise<Exit> {
    if (this.parts.process.exit === undefined && graceMs > 0) await this.resume().catch(() => undefined)
    return super.stop(graceMs)
  }

  async resize(limits: Limits): Promise<readonly LimitReport[]> {
    if (this.parts.process.exit !== undefined) throw this.#ended()
    this.limits = await this.#host.resize(limits, this.limits)
    return this.limits
  }

  async consoleTail(maxBytes: number): Promise<Uint8Array> {
    const held = await this.parts.process.output('stdout')
    return held.subarray(Math.max(0, held.length - maxBytes))
  }

  async setMemoryTarget(bytes: number): Promise<void> {
    const { mem_size_mib: all } = await this.#asked(this.api.call('GET /machine-config'))
    const amount = Math.min(all, Math.max(0, all - Math.floor(bytes / MiB)))
    await this.#asked(this.api.call('PATCH /balloon', { amount_mib: amount }))
  }

  /** One after the other: the machine stands still for each. */
  snapshotMemory(id: SnapshotId, context: CreateContext): Promise<SavedMachineMemory> {
    const saving = this.#saving.then(() => this.#save(id, context))
    this.#saving = saving.catch(() => undefined)
    return saving
  }

  async #save(id: SnapshotId, { signal, progress }: CreateContext): Promise<SavedMachineMemory> {
    const { layersProgram, save } = this.#parts
    const vm = this.#vm()
    if (layersProgram === undefined) {
      throw new CoveError('unsupported', 'the program for layers is not there', {}, { fix: 'Run `cove setup`.' })
    }
    if (this.parts.process.exit !== undefined) throw this.#ended()
    const store = await this.#parts.snapshots()
    const [memory, state] = [join(save, 'memory'), join(save, 'state')]
    const clear = () => Promise.all([memory, state].map((path) => rm(path, { recursive: true, force: true })))
    try {
      const { bytes } = await store.make(id, this.id, async (folder) => {
        const into = partsOf(folder)
        await clear()
        // Before it stands still: what is copied here need not be written then.
        const kind = (await this.#copyLast(store, layersProgram, memory, signal)) ? 'Diff' : 'Full'
        progress('saving the memory')
        const disk = await this.#saveStill(kind, layersProgram, into.disk, signal)
        // It goes on already. Whatever its process has put in the place of these files, it is not followed.
        const ram = await copyFile(layersProgram, { from: memory, into: into.ram, signal })
        if (ram.mark.size !== vm.memoryBytes) throw new CoveError('driver-failed', 'the memory has another size')
        const told = await readState(state)
        await writeFile(into.state, told)
        // Machines with other ids read them; nobody but root gets as far as the folder around them.
        for (const path of [into.ram, into.state]) await chmod(path, 0o444)
        const stored = ram.stored + disk.stored + told.length
        return { version: 1, vm, ram: ram.mark, disk: disk.mark, state: markOfState(told), bytes: stored } as const
      })
      this.#last = id
      return { bytes, details: { firecracker: vm.monitor, processor: vm.cpu, system: vm.system.slice(0, 12) } }
    } finally {
      await clear()
    }
  }

  /** Has Firecracker write memory and state, and copies the disk, all of one moment. */
  async #saveStill(kind: 'Full' | 'Diff', program: string, into: string, signal: AbortSignal): Promise<CopiedFile> {
    await using still = await this.#still.hold()
    if (signal.aborted) throw CoveError.from(signal.reason, 'cancelled')
    // However this goes on: what Firecracker takes for changed from here on is something else.
    this.#last = undefined
    const { state: statePath, memory } = INSIDE.save
    const asked = { snapshot_path: statePath, mem_file_path: memory, snapshot_type: kind }
    await this.#asked(this.api.call('PUT /snapshot/create', asked, { signal, timeoutMs: SAVE_MS }))
    const copied = await copyFile(program, { from: this.#diskPath(), into, signal })
    // Heard of here rather than lost: a machine that stands still for ever is worse than no snapshot.
    await still[Symbol.asyncDispose]()
    return copied
  }

  /** Lays the memory as it was last saved where Firecracker writes what has changed since. False: there is none. */
  async #copyLast(
    store: SnapshotStore<VmManifest>,
    program: string,
    into: string,
    signal: AbortSignal,
  ): Promise<boolean> {
    if (this.#last === undefined) return false
    const base = await this.#parts.base()
    try {
      await copyFile(program, { from: partsOf(await store.folderOf(this.#last)).ram, into, signal })
      await chown(into, base, base)
      return true
    } catch (error) {
      if (signal.aborted) throw error
      // Removed meanwhile; then all of it is written.
      await rm(into, { force: true })
      return false
    }
  }

  #vm(): VmNote {
    const { vm } = this.#of.note
    if (vm === undefined) throw new CoveError('internal', `machine ${this.id} is not known to be a virtual machine`)
    return vm
  }

  #diskPath(): string {
    const { diskImage } = this.#host
    if (diskImage === undefined) throw new CoveError('internal', `machine ${this.id} has no disk`)
    return diskImage
  }

  /** One that has ended meanwhile needs not go on. */
  async #goOn(): Promise<void> {
    await this.#setState('Resumed').catch((error: unknown) => {
      if (CoveError.from(error).code !== 'wrong-state') throw error
    })
  }

  async #setState(state: 'Paused' | 'Resumed'): Promise<void> {
    await this.#asked(this.api.call('PATCH /vm', { state }))
  }

  /** What a machine that has ended is asked is answered as such. */
  async #asked<Value>(call: Promise<Value>): Promise<Value> {
    try {
      return await call
    } catch (error) {
      const gone = await Promise.race([this.parts.process.exited, delay(END_MS, undefined, { ref: false })])
      throw gone === undefined || CoveError.from(error).code === 'cancelled' ? error : this.#ended(error)
    }
  }

  #ended(cause?: unknown): CoveError {
    return new CoveError('wrong-state', `machine ${this.id} has ended`, {}, cause === undefined ? {} : { cause })
  }

  async #reason(): Promise<string | undefined> {
    const { process } = this.parts
    const { reason } = readConsoleEnd(await process.output('stdout').catch(() => new Uint8Array()))
    if (reason !== undefined) return reason
    const said = await process.output('stderr').catch(() => new Uint8Array())
    const last = Buffer.from(said).toString('latin1').trim().split('\n').at(-1) ?? ''
    return last === '' ? undefined : last.replaceAll(/[^\x20-\x7e]/g, '').slice(-MAX_REASON)
  }
}

/** The end of the process is told a moment after its socket has gone. */
const END_MS = 200

/** What is inside listens a moment after it was started. */
async function dialGuest({ id, process }: LaunchedMachineParts, vsock: string, signal: AbortSignal): Promise<Duplex> {
  for (const end = performance.now() + COME_UP_MS; ;) {
    if (process.exit !== undefined) throw new CoveError('guest-unreachable', `machine ${id} has ended`)
    try {
      return await dialVsock(vsock, STREAM_PORT, signal)
    } catch (error) {
      const young = CoveError.from(error).code === 'guest-unreachable'
      if (!young || signal.aborted || performance.now() > end) throw error
    }
    await delay(POLL_MS)
  }
}

/** Firecracker ends well when the machine ends itself: then the console says how. */
async function exitOf(host: LaunchedMachineParts, exit: Exit): Promise<Exit> {
  const told = await host.exitOf(exit)
  if (told.kind !== 'exited') return told
  const tail = await host.process.output('stdout').catch(() => new Uint8Array())
  return told.code === 0 ? (readConsoleEnd(tail).exit ?? { kind: 'lost' }) : { kind: 'lost' }
}
