import { readdir } from 'node:fs/promises'
import { CoveError, parseMachineId, type Log, type Machine, type MachineId, type Recovered } from '@cove/domain'
import type { HostProcess, Launcher } from '@cove/runner'
import { readNote, type MachineNote } from './machine-note.ts'

export interface LaunchedRecord {
  readonly process: HostProcess
  readonly note: MachineNote
}

/** The launcher's records of one driver's machines, under ids of `prefix` and the machine's. */
export async function launchedRecords(
  launcher: Launcher,
  driver: string,
  prefix: string,
  log: Log,
): Promise<readonly LaunchedRecord[]> {
  const found: LaunchedRecord[] = []
  for (const process of await launcher.list()) {
    if (!process.id.startsWith(prefix)) continue
    const note = readNote(process.note, driver)
    if (note === undefined) log.warn('a record of another version is left alone', { record: process.id })
    else found.push({ process, note })
  }
  return found
}

/**
 * Ends what a start that failed may have left: when the launcher was lost before it answered, the process may run all
 * the same. False when that cannot be said now; then whatever the machine holds must stay held until it is destroyed.
 */
export async function endFailedStart(launcher: Launcher, record: string, error: unknown): Promise<boolean> {
  // Somebody else's.
  if (error instanceof CoveError && error.code === 'already-exists') return true
  return launcher.destroy(record).then(
    () => true,
    () => false,
  )
}

/** What became of each, and of the folders that never got a record. */
export async function* recoverLaunched(
  records: readonly LaunchedRecord[],
  folders: readonly string[],
  machineOf: (record: LaunchedRecord) => Machine,
): AsyncIterable<Recovered> {
  const seen = new Set<string>()
  for (const record of records) {
    const { process, note } = record
    seen.add(note.machine)
    if (process.state === 'partial') {
      yield { kind: 'partial', id: note.machine }
      continue
    }
    const machine = machineOf(record)
    if (process.state === 'running') yield { kind: 'running', machine }
    else yield { kind: 'exited', id: note.machine, exit: await machine.exited }
  }
  for (const name of (await Promise.all(folders.map((folder) => readdir(folder)))).flat()) {
    const id = seen.has(name) ? undefined : machineIdOf(name)
    seen.add(name)
    if (id !== undefined) yield { kind: 'partial', id }
  }
}

function machineIdOf(name: string): MachineId | undefined {
  try {
    return parseMachineId(name)
  } catch {
    return undefined
  }
}
