import { readFile, readlink } from 'node:fs/promises'
import { CoveError } from '@cove/domain'

/** One process for ever: a pid alone is used again. */
export interface OwnerProcess {
  readonly bootId: string
  /** Inode of the pid namespace in which the pid means something. */
  readonly pidNamespace: string
  readonly pid: number
  /** Ticks since boot, field 22 of `/proc/<pid>/stat`. */
  readonly startTime: number
}

/** Whom a container belongs to, as its label says. */
export type ContainerOwner = 'durable' | OwnerProcess

/** `elsewhere`: its pid means something in another pid namespace only, so nobody here can tell. */
export type OwnerFate = 'alive' | 'dead' | 'elsewhere'

/** This machine, this pid namespace. */
export type Here = Pick<OwnerProcess, 'bootId' | 'pidNamespace'>

export async function readHere(): Promise<Here> {
  try {
    const [boot, link] = await Promise.all([
      readFile('/proc/sys/kernel/random/boot_id', 'latin1'),
      readlink('/proc/self/ns/pid'),
    ])
    return { bootId: boot.trim(), pidNamespace: /\d+/.exec(link)?.[0] ?? '0' }
  } catch (cause) {
    throw new CoveError(
      'unsupported',
      'this machine does not tell which process is which, so nothing can belong to one',
      {},
      { cause, fix: 'Use the owner `durable`.' },
    )
  }
}

export async function thisProcess(): Promise<OwnerProcess> {
  const [here, startTime] = [await readHere(), await startTimeOf(process.pid)]
  if (startTime === undefined) throw new CoveError('internal', 'this process is not in /proc')
  return { ...here, pid: process.pid, startTime }
}

/** Reads as nothing but itself: no blanks, no quotes. */
export function formatOwner(owner: ContainerOwner): string {
  if (owner === 'durable') return owner
  return [owner.bootId, owner.pidNamespace, owner.pid, owner.startTime].join('/')
}

/** Undefined for what is not an owner: such a thing is never touched. */
export function parseOwner(text: string | undefined): ContainerOwner | undefined {
  if (text === 'durable') return text
  const found = /^([0-9a-f-]{36})\/(\d{1,20})\/(\d{1,10})\/(\d{1,16})$/.exec(text ?? '')
  if (found === null) return undefined
  const [, bootId = '', pidNamespace = '', pid = '', startTime = ''] = found
  return { bootId, pidNamespace, pid: Number(pid), startTime: Number(startTime) }
}

export async function ownerFate(owner: OwnerProcess, here: Here): Promise<OwnerFate> {
  if (owner.bootId !== here.bootId) return 'dead'
  if (owner.pidNamespace !== here.pidNamespace) return 'elsewhere'
  return (await startTimeOf(owner.pid)) === owner.startTime ? 'alive' : 'dead'
}

/** Undefined when there is no such process; one that has ended and is not reaped yet is none. */
async function startTimeOf(pid: number): Promise<number | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'latin1')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return /^[ZXx]$/.test(fields[0] ?? '') ? undefined : Number(fields[19])
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'ENOENT' || code === 'ESRCH') return undefined
    throw CoveError.from(error, 'io-error')
  }
}
