import { readFile, writeFile } from 'node:fs/promises'
import type { MachineStats } from '@cove/domain'
import type { CgroupFiles } from '../cgroups/plan.ts'

/** What the kernel has counted for a machine; what cannot be read is left out. */
export async function readStats(files: CgroupFiles): Promise<MachineStats> {
  const [memoryBytes, processes, cpuMs] = await Promise.all([
    readNumber(files.memoryBytes),
    readNumber(files.processes),
    readCpuMs(files),
  ])
  return {
    ...(memoryBytes === undefined ? {} : { memoryBytes }),
    ...(processes === undefined ? {} : { processes }),
    ...(cpuMs === undefined ? {} : { cpuMs }),
  }
}

async function readCpuMs(files: CgroupFiles): Promise<number | undefined> {
  const us = await readKey(files.cpuStat, 'usage_usec')
  if (us !== undefined) return us / 1000
  const ns = await readNumber(files.cpuUsage)
  if (ns !== undefined) return ns / 1e6
  return files.processLists === undefined ? undefined : sumOfProcesses(files.processLists)
}

/** Field 14 to 17 of `/proc/<pid>/stat` in hundredths of a second (USER_HZ, fixed by the kernel's ABI). */
const MS_PER_TICK = 10

/** Every ended process is counted with the one that reaped it, so that the living ones carry all of it. */
async function sumOfProcesses(lists: readonly string[]): Promise<number | undefined> {
  const texts = await Promise.all(lists.map(readText))
  if (texts.every((text) => text === undefined)) return undefined
  const pids = texts.flatMap((text) => (text ?? '').split('\n').filter(Boolean))
  let ticks = 0
  for (const pid of pids) {
    const stat = (await readText(`/proc/${pid}/stat`)) ?? ''
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    for (const field of fields.slice(11, 15)) ticks += Number(field)
  }
  return ticks * MS_PER_TICK
}

/** How many of the agent's own group the kernel has killed for memory. */
export async function agentOomKills(files: CgroupFiles): Promise<number> {
  return (await readKey(files.agentOom, 'oom_kill')) ?? 0
}

const FREEZE_POLL_MS = 2
const FREEZE_TIMEOUT_MS = 5_000

/** Stops or wakes every process of the machine at once; resolves when the kernel says that it is so. */
export async function setFrozen(
  freeze: NonNullable<CgroupFiles['freeze']>,
  frozen: boolean,
  timeoutMs = FREEZE_TIMEOUT_MS,
): Promise<boolean> {
  const { version, file } = freeze
  await writeFile(file, version === 2 ? (frozen ? '1' : '0') : frozen ? 'FROZEN' : 'THAWED')
  const end = performance.now() + timeoutMs
  for (;;) {
    if ((await isFrozen(freeze)) === frozen) return true
    if (performance.now() > end) return false
    // The kernel offers no event in v1, and freezing takes well under a millisecond as a rule.
    await new Promise((resolve) => setTimeout(resolve, FREEZE_POLL_MS))
  }
}

export async function isFrozen({ version, state }: NonNullable<CgroupFiles['freeze']>): Promise<boolean> {
  return version === 2 ? (await readKey(state, 'frozen')) === 1 : (await readText(state))?.trim() === 'FROZEN'
}

async function readNumber(path: string | undefined): Promise<number | undefined> {
  const value = Number((await readText(path))?.trim() || Number.NaN)
  return Number.isFinite(value) ? value : undefined
}

/** From lines of `<key> <number>`. */
async function readKey(path: string | undefined, key: string): Promise<number | undefined> {
  const line = (await readText(path))?.split('\n').find((text) => text.startsWith(`${key} `))
  return line === undefined ? undefined : Number(line.slice(key.length + 1))
}

async function readText(path: string | undefined): Promise<string | undefined> {
  return path === undefined ? undefined : readFile(path, 'utf8').catch(() => undefined)
}
