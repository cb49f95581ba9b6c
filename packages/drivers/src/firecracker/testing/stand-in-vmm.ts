import { appendFile } from 'node:fs/promises'
import type { AnswerOf, BodyOf, CallName } from '../api-contract.ts'
import { factsOf } from '../api-contract.ts'
import { problemOf } from '../api-rules.ts'
import { SHAPES } from '../api-shapes.ts'
import type { MachineState } from './machine-state.ts'
import { readPlan } from './plan.ts'
import { Refused } from './refused.ts'
import { memoryOf, restoredMachine } from './restored-machine.ts'
import * as check from './stand-in-checks.ts'
import { configOf, separateDisk, StandInGuest, type GuestConfig } from './stand-in-guest.ts'
import { loadMachine, saveMachine } from './stand-in-memory.ts'
import { StandInVsock } from './stand-in-vsock.ts'

/** The version that the stand-in says it is. */
export const STAND_IN_VERSION = '1.17.0-dev'
const PAGES_PER_MIB = 256

type Handlers = {
  readonly [Name in CallName]?: (body: BodyOf<Name>) => Promise<AnswerOf<Name>> | AnswerOf<Name>
}

/** The machine that a stand-in pretends to run: what may be asked of it when, and what is true then. */
export class StandInVmm {
  readonly #id: string
  readonly #planPath: string
  #machine: MachineState = { config: { vcpu_count: 1, mem_size_mib: 128 }, drives: [], interfaces: [] }
  #state: 'Not started' | 'Running' | 'Paused' = 'Not started'
  /** Something other than logs and metrics has been asked for: no snapshot can be loaded any more. */
  #configured = false
  #metrics: string | undefined
  #vsock: StandInVsock | undefined
  #guest: StandInGuest | undefined
  /** Times that the memory has been saved since it came to be, over all machines that it was in. */
  #generation = 0

  constructor(id: string, planPath: string) {
    this.#id = id
    this.#planPath = planPath
  }

  /** The answer's body; throws `Refused`. */
  async handle(name: CallName, id: string | undefined, body: unknown): Promise<unknown> {
    const { when, body: shape, optionalBody } = factsOf(name)
    if (shape === undefined ? body !== undefined : body === undefined && optionalBody !== true) {
      throw new Refused(shape === undefined ? `${name} takes no body` : 'Empty request body.')
    }
    const problem = shape === undefined || body === undefined ? undefined : problemOf(SHAPES[shape], body)
    if (problem !== undefined) {
      throw new Refused(`An error occurred when deserializing the json body of a request: ${problem}.`)
    }
    check.checkId(name, id, body)
    const started = this.#state !== 'Not started'
    if (when !== 'always' && (when === 'after') !== started) {
      const side = started ? 'after' : 'before'
      throw new Refused(`The requested operation is not supported ${side} starting the microVM.`)
    }
    const handler = (this.#handlers as Readonly<Record<string, ((asked: never) => unknown) | undefined>>)[name]
    if (handler === undefined) throw new Refused(`the stand-in has nothing behind ${name}`)
    const answer = await handler(body as never)
    if (when === 'before' && name !== 'PUT /snapshot/load') this.#configured = true
    return answer
  }

  readonly #handlers: Handlers = {
    'GET /': () => ({
      app_name: 'Firecracker',
      id: this.#id,
      state: this.#state,
      vmm_version: STAND_IN_VERSION,
    }),
    'GET /version': () => ({ firecracker_version: STAND_IN_VERSION }),
    'GET /machine-config': () => this.#machine.config,
    'GET /vm/config': () => {
      const { config, bootSource, drives, interfaces, vsock, balloon, entropy } = this.#machine
      return {
        'machine-config': config,
        ...(bootSource === undefined ? {} : { 'boot-source': bootSource }),
        drives,
        'network-interfaces': interfaces,
        ...(vsock === undefined ? {} : { vsock }),
        ...(balloon === undefined ? {} : { balloon }),
        ...(entropy === undefined ? {} : { entropy }),
      }
    },
    'PUT /machine-config': (config) => {
      check.checkMachineConfig(config)
      this.#machine.config = config
    },
    'PATCH /machine-config': (config) => {
      check.checkMachineConfig({ ...this.#machine.config, ...config })
      this.#machine.config = { ...this.#machine.config, ...config }
    },
    'PUT /boot-source': (source) => {
      check.checkBootSource(source)
      this.#machine.bootSource = source
    },
    'PUT /drives/{drive_id}': (drive) => {
      const others = this.#machine.drives.filter(({ drive_id: id }) => id !== drive.drive_id)
      check.checkDrive(drive, others)
      this.#machine.drives = [...others, drive]
    },
    'PATCH /drives/{drive_id}': (change) => {
      const drive = known(
        this.#machine.drives.find(({ drive_id: id }) => id === change.drive_id),
        'block device',
      )
      check.checkDrive({ ...drive, ...change }, [])
      this.#machine.drives = this.#machine.drives.map((one) => (one === drive ? { ...drive, ...change } : one))
    },
    'PUT /network-interfaces/{iface_id}': (one) => {
      const others = this.#machine.interfaces.filter(({ iface_id: id }) => id !== one.iface_id)
      check.checkInterface(one, others)
      this.#machine.interfaces = [...others, one]
    },
    'PATCH /network-interfaces/{iface_id}': (change) => {
      known(
        this.#machine.interfaces.find(({ iface_id: id }) => id === change.iface_id),
        'net device',
      )
    },
    'PUT /vsock': async (vsock) => {
      await this.#vsock?.close()
      this.#vsock = undefined
      await this.#listen(vsock.uds_path)
      this.#machine.vsock = vsock
    },
    'PUT /entropy': (entropy) => {
      this.#machine.entropy = entropy
    },
    'PUT /logger': ({ log_path: path }) => {
      check.checkSink(path)
    },
    'PUT /metrics': ({ metrics_path: path }) => {
      if (this.#metrics !== undefined) throw new Refused('Metrics system is already initialized.')
      check.checkSink(path)
      this.#metrics = path
    },
    'PUT /balloon': (balloon) => {
      check.checkBalloon(balloon, this.#machine.config.mem_size_mib)
      this.#machine.balloon = balloon
    },
    'GET /balloon': () => this.#balloon(),
    'PATCH /balloon': ({ amount_mib: amount }) => {
      const balloon = this.#balloon()
      check.checkAmount(amount, this.#machine.config.mem_size_mib)
      this.#machine.balloon = { ...balloon, amount_mib: amount }
    },
    'GET /balloon/statistics': () => {
      const { amount_mib: mib, stats_polling_interval_s: interval = 0 } = this.#balloon()
      if (interval === 0) throw new Refused('Statistics for the balloon device are not enabled')
      const total = this.#machine.config.mem_size_mib * 2 ** 20
      return {
        target_pages: mib * PAGES_PER_MIB,
        actual_pages: mib * PAGES_PER_MIB,
        target_mib: mib,
        actual_mib: mib,
        total_memory: total,
        free_memory: Math.max(0, Math.floor(total / 2) - mib * 2 ** 20),
      }
    },
    'PATCH /balloon/statistics': ({ stats_polling_interval_s: interval }) => {
      const balloon = this.#balloon()
      if ((balloon.stats_polling_interval_s ?? 0) === 0 || interval === 0) {
        throw new Refused('Statistics for the balloon device cannot be turned on or off after boot')
      }
      this.#machine.balloon = { ...balloon, stats_polling_interval_s: interval }
    },
    'PUT /actions': ({ action_type: action }) => this.#act(action),
    'PATCH /vm': async ({ state }) => {
      await this.#guest?.setPaused(state === 'Paused')
      this.#state = state === 'Paused' ? 'Paused' : 'Running'
    },
    'PUT /snapshot/create': async (asked) => {
      const { snapshot_type: kind = 'Full', snapshot_path: state, mem_file_path: memory } = asked
      if (this.#state !== 'Paused') throw new Refused('Cannot save a microVM that is not paused')
      if (kind === 'Diff' && this.#machine.config.track_dirty_pages !== true) {
        throw new Refused('Diff snapshots are not allowed on uVMs with dirty page tracking disabled')
      }
      const paths = { state: check.local(state), memory: check.local(memory) }
      this.#generation++
      await saveMachine(paths, kind, STAND_IN_VERSION, { generation: this.#generation, machine: this.#machine })
    },
    'PUT /snapshot/load': (asked) => this.#load(asked),
  }

  async #act(action: BodyOf<'PUT /actions'>['action_type']): Promise<undefined> {
    if (action === 'InstanceStart') {
      if (this.#state !== 'Not started') {
        throw new Refused('The requested operation is not supported after starting the microVM.')
      }
      if (this.#machine.bootSource === undefined) {
        throw new Refused('Cannot start microvm without kernel configuration.')
      }
      this.#state = 'Running'
      await this.#boot()
      return undefined
    }
    if (this.#state === 'Not started') {
      throw new Refused('The requested operation is not supported before starting the microVM.')
    }
    if (action === 'FlushMetrics' && this.#metrics !== undefined) {
      await appendFile(check.local(this.#metrics), '{"stand_in":true}\n')
    }
    return undefined
  }

  /** What the guest finds on its disks decides, as in a real one; without a configuration it stays silent. */
  async #boot(): Promise<void> {
    const { failures, ...plan } = await readPlan(this.#planPath)
    if (failures?.panic === true) {
      process.stdout.write('[    0.1] Kernel panic - not syncing: VFS: Unable to mount root fs\n')
      setImmediate(() => process.exit(0))
      return
    }
    const config = await this.#guestConfig()
    if (config === undefined || failures?.deafGuest === true) return
    const disk = this.#machine.drives.find(({ is_read_only: readOnly }) => readOnly === false)?.path_on_host
    const guest = await StandInGuest.boot(plan, config, disk === undefined ? undefined : check.local(disk))
    this.#guest = guest
    void this.#end(guest)
  }

  /** A guest that ends reboots, and that is the end of the process. */
  async #end(guest: StandInGuest): Promise<void> {
    const how = await guest.ended
    await this.close()
    process.stdout.write(`cove-boot: ended ${how}\n`, () => process.exit(0))
  }

  async #guestConfig(): Promise<GuestConfig | undefined> {
    for (const { path_on_host: path, is_read_only: readOnly } of this.#machine.drives) {
      if (path === undefined || readOnly !== true) continue
      const config = await configOf(check.local(path))
      if (config !== undefined) return config
    }
    return undefined
  }

  async #load(asked: BodyOf<'PUT /snapshot/load'>): Promise<undefined> {
    if (this.#configured)
      throw new Refused('Loading a microVM snapshot not allowed after configuring boot-specific resources.')
    const memory = check.local(memoryOf(asked))
    const saved = await loadMachine({ state: check.local(asked.snapshot_path), memory }, STAND_IN_VERSION)
    const machine = restoredMachine(saved.machine, asked)
    if (machine.vsock !== undefined) await this.#listen(machine.vsock.uds_path)
    this.#machine = machine
    this.#generation = saved.generation
    for (const { path_on_host: disk, is_read_only: readOnly } of machine.drives) {
      if (disk !== undefined && readOnly === false) {
        await separateDisk(check.local(disk), (await readPlan(this.#planPath)).homes)
      }
    }
    this.#state = 'Paused'
    await this.#boot()
    if (asked.resume_vm === true) this.#state = 'Running'
    else await this.#guest?.setPaused(true)
    return undefined
  }

  async #listen(path: string): Promise<void> {
    this.#vsock = await StandInVsock.open(check.local(path), async (port) => this.#guest?.socketOf(port))
    this.#vsock.says = (await readPlan(this.#planPath)).failures?.vsockSays
  }

  #balloon(): NonNullable<MachineState['balloon']> {
    return known(this.#machine.balloon, 'balloon device')
  }

  async close(): Promise<void> {
    this.#guest?.close()
    await this.#vsock?.close()
  }
}

function known<Value>(value: Value | undefined, what: string): Value {
  if (value === undefined) throw new Refused(`Device not found: there is no such ${what}`)
  return value
}
