import { setTimeout as delay } from 'node:timers/promises'
import { CoveError } from '@cove/domain'
import type { ContainerSummary, DockerEngine } from '@cove/docker-engine'
import { KIND, LABEL } from './container-plan.ts'
import { ownerFate, parseOwner, readHere, type Here } from './container-owner.ts'
import type { ContainerProcesses } from './container-processes.ts'
import { MARK_VARIABLE, parseMark } from './exec-mark.ts'
import { openContainerProcesses } from './open-container-processes.ts'

const GRACE_MS = 3000
const LOOK_AGAIN_MS = 50
const ROUNDS = 200

export interface SweepOptions {
  /** Only its containers are looked at. */
  readonly installation: string
  /** Default: this machine, as this process sees it. */
  readonly here?: Here
  readonly signal?: AbortSignal | undefined
  /** From TERM to KILL for processes in containers that stay. Default 3,000. */
  readonly graceMs?: number
}

interface Sweeping {
  readonly here: Here
  readonly signal: AbortSignal | undefined
  readonly graceMs: number
}

export interface ContainerSweep {
  /** False: the engine does not answer, and nothing was done. */
  readonly reached: boolean
  /** Names of the containers that were removed: their owners are gone. */
  readonly removed: readonly string[]
  /** How many processes of owners that are gone were ended in containers that stay. */
  readonly ended: number
  /** What could not be swept, and why; containers whose owner cannot be read are left alone and told here. */
  readonly problems: readonly { readonly container: string; readonly message: string }[]
}

/**
 * Ends what has no living owner: ephemeral containers of programs that are gone, with all that runs in them, and in
 * durable ones the processes of programs that are gone. Safe to run at the same time as others. An engine that does not
 * answer is no error.
 */
export async function sweepContainers(engine: DockerEngine, options: SweepOptions): Promise<ContainerSweep> {
  const { installation, signal, graceMs = GRACE_MS } = options
  const sweeping: Sweeping = { here: options.here ?? (await readHere()), signal, graceMs }
  let containers: readonly ContainerSummary[]
  try {
    containers = await engine.listContainers({ [LABEL.kind]: KIND, [LABEL.installation]: installation }, signal)
  } catch (error) {
    if (signal?.aborted === true) throw CoveError.from(error, 'cancelled')
    return { reached: false, removed: [], ended: 0, problems: [] }
  }
  const removed: string[] = []
  const problems: { container: string; message: string }[] = []
  let ended = 0
  for (const container of containers) {
    signal?.throwIfAborted()
    const name = container.names[0] ?? container.id
    try {
      const fate = await sweepOne(engine, container, sweeping)
      if (fate === 'removed') removed.push(name)
      else ended += fate
    } catch (error) {
      const { message, code } = CoveError.from(error)
      // Somebody else has removed it.
      if (code !== 'container-not-found') problems.push({ container: name, message })
    }
  }
  return { reached: true, removed, ended, problems }
}

async function sweepOne(
  engine: DockerEngine,
  { id, labels, state }: ContainerSummary,
  options: Sweeping,
): Promise<'removed' | number> {
  const owner = parseOwner(labels[LABEL.owner])
  if (owner === undefined) throw new CoveError('config-invalid', 'its owner cannot be read, so it is left alone')
  if (owner !== 'durable' && (await ownerFate(owner, options.here)) === 'dead') {
    await engine.removeContainer(id, options.signal)
    return 'removed'
  }
  if (state !== 'running') return 0
  return await endOrphans(await openContainerProcesses(engine, id), options)
}

/** Processes whose own program is gone, in a container that stays. */
async function endOrphans(processes: ContainerProcesses, options: Sweeping): Promise<number> {
  const orphans = async (): Promise<readonly number[]> => {
    const found: number[] = []
    for (const { pid, mark } of await processes.list()) {
      const owner = parseMark(mark)?.owner
      if (owner === undefined || owner === 'durable') continue
      if ((await ownerFate(owner, options.here)) === 'dead') found.push(pid)
    }
    return found
  }
  let living = await orphans()
  const count = living.length
  if (count === 0) return 0
  await processes.signal(living, 'TERM')
  const deadline = performance.now() + options.graceMs
  for (let round = 0; round < ROUNDS; round += 1) {
    await delay(LOOK_AGAIN_MS, undefined, { signal: options.signal })
    living = await orphans()
    if (living.length === 0) return count
    if (performance.now() > deadline) await processes.signal(living, 'KILL')
  }
  throw new CoveError('deadline-exceeded', `${living.length} processes with ${MARK_VARIABLE} cannot be ended`)
}
