import { join } from 'node:path'
import { CoveError, type MachineId } from '@cove/domain'
import { isNotFound, type Containerd } from '@cove/containerd-engine'
import { planCgroups } from '../cgroups/plan.ts'
import { setFrozen } from '../host/cgroup-readings.ts'
import { removeTree } from '../host/remove-tree.ts'
import { removeCgroups } from './cgroup-tree.ts'
import { memberOf, signalProcess } from '../host/live-process.ts'
import { containerOf, scratchOf } from './machine-record.ts'
import type { Prepared } from './prepare.ts'
import { endLostShims } from './shims.ts'

/** Long for a process that has been killed; then the runtime does it in its own way. */
const FIRST_STOP_MS = 2_000
const STOP_MS = 10_000
const SIGKILL = 9

/**
 * Removes everything of a machine, however far it came, but for its disk. The container's record goes last: whatever
 * breaks off before is found again. `suspect`: its start went wrong, and something may run that containerd does not know.
 */
export async function endMachine(prepared: Prepared, id: MachineId, suspect: boolean): Promise<void> {
  const { containerd, hierarchies } = prepared
  const { freeze } = planCgroups(hierarchies, id, {}).files
  // What stands still cannot be ended.
  if (freeze !== undefined) await setFrozen(freeze, false).catch(() => undefined)
  if ((await endTask(containerd, containerOf(id), `${hierarchies.prefix}${id}`)) || suspect)
    await endLostShims(containerd, containerOf(id))
  await Promise.all([endLocal(prepared, id), gone(containerd.snapshots.remove(scratchOf(id)))])
  await gone(containerd.containers.delete(containerOf(id)))
}

/** What containerd knows nothing of. */
export async function endLocal({ hierarchies, places, folders }: Prepared, id: MachineId): Promise<void> {
  await Promise.all([removeTree(join(folders.machines, id)), removeCgroups(places.roots, `${hierarchies.prefix}${id}`)])
}

/** True when there was none, or it could not be ended as it should. */
async function endTask(containerd: Containerd, container: string, group: string): Promise<boolean> {
  const { tasks } = containerd
  try {
    const { pid, state } = await tasks.get(container)
    if (state !== 'stopped') {
      // A signal of our own spares the start of a runtime that does nothing else. The pid may mean another one by now.
      const process = await memberOf(group, pid)
      if (process === undefined || !(await signalProcess(process, 'SIGKILL')))
        await gone(tasks.kill(container, SIGKILL))
      await tasks.wait(container, { timeoutMs: FIRST_STOP_MS }).catch(async (error: unknown) => {
        if (!(error instanceof CoveError) || error.code !== 'deadline-exceeded') throw error
        await gone(tasks.kill(container, SIGKILL, { all: true }))
        await tasks.wait(container, { timeoutMs: STOP_MS })
      })
    }
    await tasks.delete(container)
    return false
  } catch (error) {
    if (isNotFound(error)) return true
    if (error instanceof CoveError && !ODD.has(error.code)) throw error
    // Its shim does not do what it should.
    await endLostShims(containerd, container)
    await gone(tasks.delete(container))
    return true
  }
}

const ODD: ReadonlySet<string> = new Set(['deadline-exceeded', 'wrong-state', 'unsupported'])

async function gone(removal: Promise<void>): Promise<void> {
  await removal.catch((error: unknown) => {
    if (!isNotFound(error)) throw error
  })
}
