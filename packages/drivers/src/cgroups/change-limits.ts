import { readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { CgroupPlan } from './plan.ts'

interface Write {
  readonly path: string
  readonly value: string
  readonly required: boolean
}

/** As many rounds as settings may depend on each other: what is below another may not be more than that. */
const ROUNDS = 4

/**
 * Sets the limits of a plan in groups that exist. Answers why not, when a setting cannot be made; then all are as they
 * were.
 */
export async function changeLimits(plan: CgroupPlan): Promise<string | undefined> {
  const wanted = await writesOf(plan)
  const before = await Promise.all(
    wanted.map(async ({ path }) => (await readFile(path, 'utf8').catch(() => '')).trim()),
  )
  const problem = await writeAll(wanted)
  if (problem === undefined) return undefined
  await writeAll(wanted.map(({ path }, index) => ({ path, value: before[index] ?? '', required: false })))
  return problem
}

async function writesOf(plan: CgroupPlan): Promise<readonly Write[]> {
  const writes: Write[] = []
  for (const { path, set } of plan.cgroups) {
    // Made without such a limit the machine has one group for all: then that holds the workload's.
    const isInner = path.endsWith('/work')
    const missing = isInner && !(await exists(path))
    const at = missing ? dirname(path) : path
    for (const { file, value, required } of set) {
      if (file === 'cgroup.subtree_control') continue
      const known = writes.findIndex((write) => write.path === join(at, file))
      const write = { path: join(at, file), value, required }
      if (known === -1) writes.push(write)
      else writes[known] = write
    }
  }
  return writes
}

async function writeAll(writes: readonly Write[]): Promise<string | undefined> {
  let left = writes
  let problem: string | undefined
  for (let round = 0; round < ROUNDS && left.length > 0; round++) {
    const failed: Write[] = []
    for (const write of left) {
      try {
        await writeFile(write.path, write.value, { flag: 'r+' })
      } catch (error) {
        failed.push(write)
        if (write.required) problem = `${write.path}: ${error instanceof Error ? error.message : String(error)}`
      }
    }
    left = failed
  }
  return left.some(({ required }) => required) ? problem : undefined
}

function exists(path: string): Promise<boolean> {
  return readFile(join(path, 'cgroup.procs')).then(
    () => true,
    () => false,
  )
}
