import { chmod, lchown, lstat, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { CoveError } from '@cove/domain'
import type { VmNote } from '../host/machine-note.ts'

/** What a saved machine needs around it, to go on. */
export interface Manifest {
  readonly version: 1
  /** Firecracker, as it tells its version. */
  readonly monitor: string
  /** Id of the guest system that it had booted. */
  readonly system: string
  /** Which processors it ran on. */
  readonly cpu: string
  /** Name of the file with its root. */
  readonly root: string
  readonly memoryBytes: number
  readonly cpus: number
  readonly stateBytes: number
  readonly diskBytes: number
  /** Of all its files on the disk, holes not counted. */
  readonly bytes: number
}

const TEXTS = ['monitor', 'system', 'cpu', 'root'] as const
const NUMBERS = ['memoryBytes', 'cpus', 'stateBytes', 'diskBytes', 'bytes'] as const

/** Undefined: another version of Cove wrote it. */
export function parseManifest(value: Readonly<Record<string, unknown>>): Manifest | undefined {
  const sound =
    value['version'] === 1 &&
    TEXTS.every((name) => typeof value[name] === 'string') &&
    NUMBERS.every((name) => Number.isSafeInteger(value[name]) && Number(value[name]) >= 0)
  return sound ? (value as unknown as Manifest) : undefined
}

/** Refuses what Firecracker would find out late, say badly, or not find out at all. */
export function refuseUnfit(saved: Manifest, here: VmNote): void {
  const anew = 'Make the snapshot anew from a running sandbox.'
  same('the program', saved.monitor, here.monitor, `Install ${saved.monitor} again, or make the snapshot anew.`)
  same('the kernel', saved.system, here.system, anew)
  same('the processor', saved.cpu, here.cpu, 'Restore it on a host with the same processors, or make it anew.')
  same('the root', saved.root, here.root, 'Start from the template that the saved machine was made from.')
  same('memory of bytes', saved.memoryBytes, here.memoryBytes, `Ask for ${saved.memoryBytes} bytes, or for none.`)
  same('processors', saved.cpus, here.cpus, `Ask for ${saved.cpus} processors, or for none.`)
}

function same(what: string, then: string | number, now: string | number, fix: string): void {
  if (then !== now) throw unfit(`it was saved with ${what} ${then}, here is ${now}`, fix)
}

/** Refuses files that are not what they were: Firecracker reads memory only when the machine needs it. */
export async function refuseDamaged(folder: string, { stateBytes, memoryBytes, diskBytes }: Manifest): Promise<void> {
  const sizes = { state: stateBytes, memory: memoryBytes, disk: diskBytes }
  for (const [name, size] of Object.entries(sizes)) {
    const facts = await lstat(join(folder, name)).catch(() => undefined)
    if (facts?.isFile() === true && facts.size === size) continue
    const now = facts === undefined ? 'is gone' : `has ${facts.size} bytes in place of ${size}`
    throw unfit(`its file \`${name}\` ${now}`, 'Make the snapshot anew from a running sandbox.')
  }
}

/**
 * Takes a file that a machine's process has written out of its reach: from then on it is root's and nothing that a link
 * leads to. Answers its size, and how much of that is on the disk.
 */
export async function takeFile(
  from: string,
  into: string,
): Promise<{ readonly size: number; readonly stored: number }> {
  await rename(from, into)
  const facts = await lstat(into)
  if (!facts.isFile()) throw new CoveError('driver-failed', 'what Firecracker has saved is no file')
  await lchown(into, 0, 0)
  // Machines with other ids read it; nobody but root gets as far as the folder around it.
  await chmod(into, 0o444)
  return { size: facts.size, stored: facts.blocks * BLOCK_BYTES }
}

/** Of `st_blocks`, whatever the file system's own blocks are. */
const BLOCK_BYTES = 512

/** The processors of this host: where they differ, saved memory may use what is not there. */
export async function cpuModel(): Promise<string> {
  const text = await readFile('/proc/cpuinfo', 'utf8').catch(() => '')
  const [first = ''] = text.split('\n\n', 1)
  const names = ['vendor_id', 'cpu family', 'model', 'model name', 'stepping', 'CPU implementer', 'CPU part']
  const facts = names.flatMap((name) => {
    const value = new RegExp(`^${name}\\s*: (.*)$`, 'm').exec(first)?.[1]
    return value === undefined ? [] : [value.trim()]
  })
  return facts.length === 0 ? 'unknown' : facts.join(', ').slice(0, MAX_MODEL)
}

const MAX_MODEL = 200

function unfit(what: string, fix: string): CoveError {
  return new CoveError('unsupported', `the snapshot cannot go on here: ${what}`, { field: 'from' }, { fix })
}
