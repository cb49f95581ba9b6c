import { readdir, readlink } from 'node:fs/promises'
import type { Duplex } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import {
  CoveError,
  type Balloon,
  type Exit,
  type HasConsole,
  type LimitReport,
  type Limits,
  type Pausable,
  type Resizable,
} from '@cove/domain'
import { connectSocket } from '../host/connect-socket.ts'
import { HostMachine } from '../host/host-machine.ts'
import type { MachineOf } from '../launched/driver.ts'
import type { LaunchedMachineParts } from '../launched/launched-machine.ts'
import { openFifos } from '../launched/fifo-stream.ts'
import { newestOf } from '../launched/newest-of.ts'
import { firstProcess } from '../launched/signal-init.ts'
import { readConsoleEnd } from '../microvm/console-tail.ts'
import { ControlPort } from '../microvm/control-port.ts'
import { controlOf, monitorOf, pipesOf } from './machine-spec.ts'
import { monitorSession } from './monitor-session.ts'
import type { QmpClient } from './qmp-client.ts'

const ANSWER_MS = 10_000

/** One virtual machine of QEMU. */
export class QemuMachine extends HostMachine implements Pausable, Resizable, HasConsole, Balloon {
  readonly control: ControlPort
  protected readonly of: MachineOf
  readonly #host: LaunchedMachineParts
  #turn: Promise<unknown> = Promise.resolve()

  constructor(of: MachineOf, host: LaunchedMachineParts) {
    const { prepared } = of
    const control = new ControlPort((signal) => connectSocket(controlOf(prepared, host.id), signal))
    let asked = false
    // What the host counts are QEMU's own threads; what freezes is the machine's processor, not QEMU.
    const { processes: _, processLists: __, freeze: ___, ...files } = host.files
    // The agent has the right to name the machine.
    const { rename: ____, ...rest } = host
    super({
      ...rest,
      files,
      socket: newestOf((signal) => openPipes(host, signal)),
      exitOf: (exit) => exitOf(host, exit),
      ask: async () => {
        // It is taken as soon as the machine can, and needs no repetition.
        if (asked) return
        asked = true
        await control.tell('stop', host.process.exited, AbortSignal.timeout(ANSWER_MS))
      },
    })
    this.control = control
    this.of = of
    this.#host = host
  }

  /** `guest-unreachable` with the reason when the machine has ended or never came up. */
  override async connectGuest(signal: AbortSignal): Promise<Duplex> {
    try {
      return await super.connectGuest(signal)
    } catch (error) {
      const known = CoveError.from(error)
      const reason = this.#host.process.exit === undefined ? undefined : await this.#reason()
      if (known.code !== 'guest-unreachable' || reason === undefined) throw error
      throw new CoveError('guest-unreachable', `machine ${this.id} has ended: ${reason}`, {}, { cause: error })
    }
  }

  pause(): Promise<void> {
    return this.command('stop')
  }

  resume(): Promise<void> {
    return this.command('cont')
  }

  /** One that stands still does not hear. */
  override async stop(graceMs: number): Promise<Exit> {
    if (this.parts.process.exit === undefined && graceMs > 0) await this.resume().catch(() => undefined)
    return super.stop(graceMs)
  }

  async resize(limits: Limits): Promise<readonly LimitReport[]> {
    if (this.parts.process.exit !== undefined) throw new CoveError('wrong-state', `machine ${this.id} has ended`)
    this.limits = await this.#host.resize(limits, this.limits)
    return this.limits
  }

  async consoleTail(maxBytes: number): Promise<Uint8Array> {
    const held = await this.parts.process.output('stdout')
    return held.subarray(Math.max(0, held.length - maxBytes))
  }

  async setMemoryTarget(bytes: number): Promise<void> {
    await this.monitor(async (client, signal) => {
      await client.execute('balloon', { value: Math.max(1, Math.floor(bytes)) }, signal)
    })
  }

  /** One session with QEMU's monitor after the other. `wrong-state` when the machine has ended. */
  monitor<Value>(
    use: (client: QmpClient, signal: AbortSignal) => Promise<Value>,
    signal: AbortSignal = AbortSignal.timeout(ANSWER_MS),
  ): Promise<Value> {
    const done = this.#turn.then(() => this.#session(use, signal))
    this.#turn = done.catch(() => undefined)
    return done
  }

  /** A command without arguments and answer. */
  protected async command(name: string): Promise<void> {
    await this.monitor(async (client, signal) => {
      await client.execute(name, {}, signal)
    })
  }

  /** A path under which the memory of a machine that was started, not restored, can be read as long as it runs. */
  async memoryFile(): Promise<string> {
    const found = await firstProcess(this.parts.process)
    const folder = `/proc/${found?.pid ?? 0}/fd`
    for (const name of await readdir(folder).catch(() => [])) {
      const target = await readlink(`${folder}/${name}`).catch(() => '')
      if (target.startsWith('/memfd:memory-backend-memfd')) return `${folder}/${name}`
    }
    throw new CoveError('wrong-state', `machine ${this.id} has no memory that can be read`)
  }

  async #session<Value>(
    use: (client: QmpClient, signal: AbortSignal) => Promise<Value>,
    signal: AbortSignal,
  ): Promise<Value> {
    const { process } = this.parts
    const ended = () => new CoveError('wrong-state', `machine ${this.id} has ended`)
    if (process.exit !== undefined) throw ended()
    try {
      return await monitorSession(monitorOf(this.of.prepared, this.id), signal, (client) => use(client, signal))
    } catch (error) {
      const known = CoveError.from(error)
      if (known.code !== 'guest-unreachable') throw error
      // The end of the process is told a moment after its socket has gone.
      const gone = await Promise.race([process.exited, later()])
      throw gone === undefined ? error : ended()
    }
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

const PIPES_MS = 5_000
const POLL_MS = 2

/** QEMU makes its pipes itself, a moment after it has been started. */
async function openPipes({ id, process }: LaunchedMachineParts, signal: AbortSignal): Promise<Duplex> {
  for (const end = performance.now() + PIPES_MS; ;) {
    // What is still there for a moment takes what is written, and answers nothing.
    if (process.exit !== undefined) throw new CoveError('guest-unreachable', `machine ${id} has ended`)
    const qemu = await firstProcess(process)
    try {
      return await openFifos(pipesOf(qemu?.pid ?? 0), signal)
    } catch (error) {
      if (signal.aborted || performance.now() > end) throw error
    }
    await delay(POLL_MS)
  }
}

const MAX_REASON = 300
const END_MS = 500

/** QEMU ends well when the machine ends itself: then the console says how. What QEMU itself ends with is no exit of it. */
async function exitOf(host: LaunchedMachineParts, exit: Exit): Promise<Exit> {
  const told = await host.exitOf(exit)
  if (told.kind !== 'exited') return told
  const tail = await host.process.output('stdout').catch(() => new Uint8Array())
  return told.code === 0 ? (readConsoleEnd(tail).exit ?? { kind: 'lost' }) : { kind: 'lost' }
}

function later(): Promise<undefined> {
  return new Promise((resolve) => {
    setTimeout(resolve, END_MS, undefined).unref()
  })
}
