import { open, readFile, stat, type FileHandle } from 'node:fs/promises'
import { isObject } from '../api-rules.ts'
import type { MachineState } from './machine-state.ts'
import { Refused } from './refused.ts'

const MiB = 1024 * 1024
const PAGE = 4096
const MAGIC = 'stand-in memory'

interface StateFile {
  readonly magic: 'stand-in state'
  readonly version: string
  /** How many snapshots the guest's memory has been through: as many pages of it are not zero. */
  readonly generation: number
  readonly machine: MachineState
}

/** What a saved machine goes on with. */
export type Saved = Pick<StateFile, 'generation' | 'machine'>

const pageOf = (generation: number): Buffer => {
  const page = Buffer.alloc(PAGE)
  page.write(`${MAGIC} ${generation}`)
  return page
}

/**
 * Writes a state file and a memory file as large as the guest's memory. A full one has every page that was ever
 * written; a diff one has only what is new, over what the file has already.
 */
export async function saveMachine(
  paths: { readonly state: string; readonly memory: string },
  kind: 'Full' | 'Diff',
  version: string,
  { generation, machine }: Saved,
): Promise<void> {
  const bytes = machine.config.mem_size_mib * MiB
  await using memory = await open(paths.memory, 'a').then(async (file) => {
    await file.close()
    return open(paths.memory, 'r+')
  })
  if ((await memory.stat()).size !== bytes) await memory.truncate(0)
  await memory.truncate(bytes)
  for (let at = kind === 'Full' ? 0 : generation; at <= generation; at++) {
    await memory.write(pageOf(at), 0, PAGE, at * PAGE)
  }
  await using state = await open(paths.state, 'w')
  const content: StateFile = { magic: 'stand-in state', version, generation, machine }
  await state.writeFile(JSON.stringify(content))
}

/** Refuses what is cut short, of another version, or memory that does not belong to the state. */
export async function loadMachine(
  paths: { readonly state: string; readonly memory: string },
  version: string,
): Promise<Saved> {
  const state = parseState(await readFile(paths.state, 'utf8').catch(refuse('Failed to open the snapshot state file')))
  if (state.version !== version) {
    throw new Refused(`Load snapshot error: Snapshot version ${state.version} is not supported by ${version}`)
  }
  const { size } = await stat(paths.memory).catch(refuse('Failed to open the memory file'))
  const bytes = state.machine.config.mem_size_mib * MiB
  if (size !== bytes) {
    throw new Refused(`Load snapshot error: the memory file has ${size} bytes where the snapshot needs ${bytes}`)
  }
  await using memory = await open(paths.memory, 'r')
  for (let at = 0; at <= state.generation; at++) {
    if ((await pageAt(memory, at)) !== `${MAGIC} ${at}`) {
      throw new Refused(`Load snapshot error: page ${at} of the memory is not what the guest wrote`)
    }
  }
  return { generation: state.generation, machine: state.machine }
}

async function pageAt(memory: FileHandle, at: number): Promise<string> {
  const page = Buffer.alloc(PAGE)
  await memory.read(page, 0, PAGE, at * PAGE)
  return page.toString('latin1', 0, page.indexOf(0))
}

function parseState(text: string): StateFile {
  try {
    const value: unknown = JSON.parse(text)
    if (isObject(value) && value['magic'] === 'stand-in state') return value as unknown as StateFile
  } catch {
    // Told below.
  }
  throw new Refused('Load snapshot error: Failed to deserialize the snapshot state')
}

function refuse(what: string): (cause: unknown) => never {
  return (cause) => {
    throw new Refused(`Load snapshot error: ${what}: ${String(cause)}`)
  }
}
