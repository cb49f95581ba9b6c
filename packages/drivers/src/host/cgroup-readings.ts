import { readFile, writeFile } from 'node:fs/promises'
import type { MachineStats } from '@cove/domain'
import type { CgroupFiles } from '../cgroups/plan.ts'

/** What the kernel has counted for a machine; what cannot be read is left out. */
export async function readStats(files: CgroupFiles): Promise<MachineStats> {
  const [memoryBytes, processes, cpuUs] = await Promise.all([
    readNumber(files.memoryBytes),
    readNumber(files.processes),
    readKey(files.cpuStat, 'usage_usec'),
  ])
  return {
    ...(memoryBytes === undefined ? {} : { memoryBytes }),
    ...(processes === undefined ? {} : { processes }),
    ...(cpuUs === undefined ? {} : { cpuMs: cpuUs / 1000 }),
  }
}

/** How many of the agent's own group the kernel has killed for memory. */
export async function agentOomKills(files: CgroupFiles): Promise<number> {
  return (await readKey(files.agentOom, 'oom_kill')) ?? 0
}

const FREEZE_POLL_MS = 2
const FREEZE_TIMEOUT_MS = 5_000

/** Stops or wakes every process of the machine at once; resolves when the kernel says that it is so. */
export async function setFrozen(freeze: NonNullable<CgroupFiles['freeze']>, frozen: boolean): Promise<boolean> {
  const { version, file, state } = freeze
  await writeFile(file, version === 2 ? (frozen ? '1' : '0') : frozen ? 'FROZEN' : 'THAWED')
  const end = performance.now() + FREEZE_TIMEOUT_MS
  for (;;) {
    const now = version === 2 ? (await readKey(state, 'frozen')) === 1 : (await readText(state))?.trim() === 'FROZEN'
    if (now === frozen) return true
    if (performance.now() > end) return false
    // The kernel offers no event in v1, and freezing takes well under a millisecond as a rule.
    await new Promise((resolve) => setTimeout(resolve, FREEZE_POLL_MS))
  }
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
