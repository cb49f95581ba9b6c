import { copyFile, readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import {
  CoveError,
  type CreateContext,
  type Exit,
  type Machine,
  type MemorySnapshotter,
  type SavedMachineMemory,
  type SnapshotId,
} from '@cove/domain'
import { copyTree } from '@cove/images'
import type { HostProcess } from '@cove/runner'
import type { CgroupFiles } from '../cgroups/plan.ts'
import { isFrozen } from '../host/cgroup-readings.ts'
import { FreezableMachine, launchedMachine, type LaunchedMachineParts } from '../launched/launched-machine.ts'
import type { SnapshotStore } from '../host/snapshot-store.ts'
import type { MachineOf } from '../launched/driver.ts'
import { STAGE } from '../launched/stage.ts'
import { readRunscConfig } from './config.ts'
import { openFifos } from '../launched/fifo-stream.ts'
import { newestOf } from '../launched/newest-of.ts'
import { COMMANDS, CONFIG, fifosOf, runscCommandSpec } from './machine-spec.ts'
import type { RunscCommands } from './runsc-command.ts'
import { saveMachine, type Manifest } from './saved-machine.ts'
import { platformOf } from './tool.ts'

export interface GvisorParts {
  readonly commands: RunscCommands
  readonly layersProgram: string | undefined
  /** First of the machine's user ids on the host. */
  base(): Promise<number | undefined>
  snapshots(): Promise<SnapshotStore<Manifest>>
}

/** What runsc ends with when it cannot go on itself: not how the machine ended. */
const RUNSC_FAILED = 128

/** A machine behind a kernel of its own. */
export function gvisorMachine(of: MachineOf, host: LaunchedMachineParts, gvisor: GvisorParts): Machine {
  const run = async (command: keyof typeof COMMANDS, signal?: AbortSignal, image?: string): Promise<void> => {
    const base = await gvisor.base()
    if (base === undefined) throw new CoveError('driver-failed', `machine ${host.id} has no ids of its own`)
    const spec = runscCommandSpec(of.prepared, host.id, base, COMMANDS[command], image)
    if (command === 'pause' || command === 'resume') await gvisor.commands.runWhole(spec)
    else await gvisor.commands.run(spec, signal)
  }
  // Its own threads are what the kernel counts: how many processes are inside nobody outside knows.
  const { processes: _, ...files } = host.files
  // The agent has the right to name the machine.
  const { rename: __, ...rest } = host
  const parts: LaunchedMachineParts = {
    ...rest,
    files,
    socket: newestOf((signal) => {
      // What it has started is still there for a moment, and takes what is written.
      if (host.process.exit !== undefined) throw new CoveError('guest-unreachable', `machine ${host.id} has ended`)
      return openFifos(fifosOf(of.prepared, host.id), signal)
    }),
    exitOf: async (exit) => (isFailure(exit) ? { kind: 'lost' } : host.exitOf(exit)),
    // Whoever is asked before it listens would end as if killed.
    ask: async () => {
      const goesOn = of.note.snapshot !== undefined && of.note.started !== true
      const ready = goesOn || (await isReady(host.process))
      // A kernel that is still starting is asked again.
      if (ready) await run('terminate').catch(() => undefined)
    },
    force: () => host.process.signal(9, 'all'),
  }
  const { freeze } = files
  return freeze === undefined ? launchedMachine(parts) : new GvisorMachine(of, parts, freeze, gvisor, run)
}

const READY_MS = 5_000
const POLL_MS = 10

const isFailure = (exit: Exit): boolean => exit.kind === 'exited' && exit.code === RUNSC_FAILED

type Run = (command: keyof typeof COMMANDS, signal?: AbortSignal, image?: string) => Promise<void>

class GvisorMachine extends FreezableMachine implements MemorySnapshotter {
  readonly #of: MachineOf
  readonly #parts: LaunchedMachineParts
  readonly #freeze: NonNullable<CgroupFiles['freeze']>
  readonly #gvisor: GvisorParts
  readonly #run: Run
  #saving: Promise<unknown> = Promise.resolve()

  constructor(
    of: MachineOf,
    parts: LaunchedMachineParts,
    freeze: NonNullable<CgroupFiles['freeze']>,
    gvisor: GvisorParts,
    run: Run,
  ) {
    super(parts, freeze)
    this.#of = of
    this.#parts = parts
    this.#freeze = freeze
    this.#gvisor = gvisor
    this.#run = run
  }

  /** One after the other: the machine stands still for each. */
  snapshotMemory(id: SnapshotId, context: CreateContext): Promise<SavedMachineMemory> {
    const saving = this.#saving.then(() => this.#save(id, context))
    this.#saving = saving.catch(() => undefined)
    return saving
  }

  /** Has the kernel inside hold everything; one that is still starting cannot yet. */
  async #hold(signal: AbortSignal): Promise<void> {
    for (const end = performance.now() + READY_MS; ;) {
      try {
        if (signal.aborted) throw CoveError.from(signal.reason, 'cancelled')
        return await this.#run('pause')
      } catch (error) {
        const starting = error instanceof CoveError && /in state creat|loading|does not exist/.test(error.message)
        if (!starting || performance.now() > end || this.parts.process.exit !== undefined) throw error
      }
      await delay(POLL_MS)
    }
  }

  async #save(id: SnapshotId, { signal, progress }: CreateContext): Promise<SavedMachineMemory> {
    const { note, prepared, process } = this.#of
    const { layersProgram } = this.#gvisor
    if (layersProgram === undefined) {
      throw new CoveError('unsupported', 'the program for layers is not there', {}, { fix: 'Run `cove setup`.' })
    }
    // Only in the machine's own mount namespace is everything of it in one place.
    const root = `/proc/${process.pid}/root`
    const config = process.exit === undefined ? await readFile(root + CONFIG, 'utf8').catch(() => undefined) : undefined
    if (config === undefined) throw new CoveError('wrong-state', `machine ${this.id} does not run`)
    const { tmpBytes, volumes, hasNetwork } = readRunscConfig(config)
    if (hasNetwork) throw new CoveError('unsupported', NO_CONNECTIONS, {}, { fix: NO_CONNECTIONS_FIX })
    const base = (await this.#gvisor.base()) ?? 0
    const store = await this.#gvisor.snapshots()
    const wasFrozen = await isFrozen(this.#freeze)
    const { bytes, runsc, platform } = await saveMachine(
      store,
      { id, machine: this.id, base },
      async ({ image, program, layer }) => {
        progress('saving the memory')
        // The kernel inside has to run to save itself; it is what holds the machine still meanwhile.
        if (wasFrozen) await this.resume()
        let held = false
        let layerBytes = 0
        let failure: CoveError | undefined
        try {
          await this.#hold(signal)
          held = true
          const saving = [this.#run('save', signal, image), copyFile(`${root}${STAGE}/program`, program)]
          // Both have ended when one has failed: nothing is written into what is removed then.
          await Promise.allSettled(saving)
          await Promise.all(saving)
          progress('saving the files')
          await using content = await this.#parts.readDisk()
          if (content.kind !== 'upper') throw new CoveError('internal', 'the disk of a machine is no folder')
          layerBytes = (await copyTree(layersProgram, { content, into: layer, signal })).bytes
        } finally {
          // Also after a pause that has failed; one that is not paused says so, and that is all right.
          const resumed = await this.#run('resume').then(
            () => undefined,
            (error: unknown) => CoveError.from(error),
          )
          if (resumed !== undefined && held && process.exit === undefined) failure = resumed
          if (wasFrozen) await this.pause()
        }
        // A machine that stands still for ever is worse than no snapshot.
        if (failure !== undefined) throw failure
        const { version } = prepared.tool
        const facts = {
          runsc: version,
          platform: platformOf(version),
          template: note.template ?? '',
          tmpBytes,
          volumes,
        }
        return { ...facts, layerBytes }
      },
    )
    return { bytes, details: { runsc, platform } }
  }
}

/** The agent says so when it has started. */
async function isReady(process: HostProcess): Promise<boolean> {
  for (const end = performance.now() + READY_MS; performance.now() < end && process.exit === undefined;) {
    if (/^ready$/m.test(Buffer.from(await process.output('stderr')).toString('latin1'))) return true
    await delay(POLL_MS)
  }
  return false
}

const NO_CONNECTIONS = 'gVisor cannot save the memory of a machine with the network internet'
const NO_CONNECTIONS_FIX = 'Take a filesystem snapshot, or make the sandbox with network `none`.'
