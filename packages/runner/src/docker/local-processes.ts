import { readdir, readFile, readlink } from 'node:fs/promises'
import { basename } from 'node:path'
import { CoveError } from '@cove/domain'
import type { ContainerProcesses, MarkedProcess } from './container-processes.ts'
import { MARK_VARIABLE } from './exec-mark.ts'

/**
 * The processes of a container on this machine, as `/proc` shows them: nothing is needed inside. Undefined when the engine
 * is elsewhere, or when they may not be looked at and signalled.
 */
export async function openLocalProcesses(container: string, containerPid: number): Promise<LocalProcesses | undefined> {
  if (process.getuid?.() !== 0 || containerPid <= 1) return undefined
  // On another machine the pid is of something else: the kernel knows a container's processes by its id.
  const cgroups = await readFile(`/proc/${containerPid}/cgroup`, 'latin1').catch(() => '')
  if (!cgroups.split(/[/:.\n-]/).includes(container)) return undefined
  const [theirs, ours] = [await namespaceOf(containerPid), await namespaceOf(process.pid)]
  // A container that shares this namespace has no processes that could be told from ours.
  return theirs === undefined || theirs === ours ? undefined : new LocalProcesses(theirs)
}

export class LocalProcesses implements ContainerProcesses {
  readonly #namespace: string

  constructor(namespace: string) {
    this.#namespace = namespace
  }

  async list(): Promise<readonly MarkedProcess[]> {
    const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
    const found = await Promise.all(pids.map(async (pid) => ((await this.has(pid)) ? await read(pid) : undefined)))
    return found.filter((one) => one !== undefined)
  }

  /** Whether the process with this pid of the host is one of the container. */
  async has(pid: number): Promise<boolean> {
    return (await namespaceOf(pid)) === this.#namespace
  }

  async signal(pids: readonly number[], signal: 'TERM' | 'KILL'): Promise<void> {
    for (const pid of pids) {
      // A pid may have been used again since it was listed, for something that is not the container's.
      if (!(await this.has(pid))) continue
      try {
        process.kill(pid, `SIG${signal}`)
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === 'ESRCH') continue
        throw CoveError.from(error, 'permission-denied')
      }
    }
  }
}

async function namespaceOf(pid: number): Promise<string | undefined> {
  try {
    return await readlink(`/proc/${pid}/ns/pid`)
  } catch {
    return undefined
  }
}

/** Undefined for one that has ended. */
async function read(pid: number): Promise<MarkedProcess | undefined> {
  try {
    const [stat, environment, command, file] = await Promise.all([
      readFile(`/proc/${pid}/stat`, 'latin1'),
      readFile(`/proc/${pid}/environ`, 'latin1'),
      readFile(`/proc/${pid}/cmdline`, 'utf8'),
      readlink(`/proc/${pid}/exe`).catch(() => ''),
    ])
    const [state = '', , , session = '0'] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    if (/^[ZXx]$/.test(state)) return undefined
    const prefix = `${MARK_VARIABLE}=`
    const mark = environment.split('\0').find((entry) => entry.startsWith(prefix)) ?? prefix
    const short = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'))
    return { pid, mark: mark.slice(prefix.length), session: Number(session), names: namesOf(file, command, short) }
  } catch {
    return undefined
  }
}

/** The kernel keeps 15 bytes of the name of a script. */
const SHORT_NAME = 15

export function namesOf(file: string, command: string, short: string): readonly string[] {
  const [first = '', second = ''] = command.split('\0').map((word) => basename(word))
  const script = second !== '' && second.slice(0, SHORT_NAME) === short ? [second] : []
  return [basename(file), first, ...script].filter((name) => name !== '')
}
