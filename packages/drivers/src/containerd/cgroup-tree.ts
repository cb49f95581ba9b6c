import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { CoveError } from '@cove/domain'
import { parseTrees, type Hierarchies } from '../cgroups/hierarchies.ts'
import { planCgroups, type CgroupPlan } from '../cgroups/plan.ts'

const REMOVE_MS = 5_000
const LOOK_MS = 5
const WORK = '/work'
const AGENT = '/agent'

/** Where a runtime looks for one machine's cgroups: the same path in every tree. */
export interface CgroupPlaces {
  /** Roots of all trees, v1 and cgroup2. */
  readonly roots: readonly string[]
  /** Below a root, absolute: what the machine's process joins. */
  pathOf(plan: CgroupPlan): string | undefined
}

export async function findCgroupPlaces(hierarchies: Hierarchies): Promise<CgroupPlaces> {
  const trees = parseTrees(await readFile('/proc/self/mountinfo', 'utf8'), await readFile('/proc/self/cgroup', 'utf8'))
  const roots = [...new Set(trees.map(({ mountPoint }) => mountPoint))]
  const pathOf = (plan: CgroupPlan): string | undefined => {
    const paths = plan.cgroups.filter(({ join: joins }) => joins === true).map(({ path }) => below(roots, path))
    const [first, ...others] = new Set(paths)
    return others.length === 0 ? first : undefined
  }
  // A runtime is told one path for all trees: where ours lie apart it cannot join them.
  const probe = planCgroups(hierarchies, 'probe', {})
  if (probe.cgroups.length > 0 && pathOf(probe) === undefined) return { roots, pathOf: () => undefined }
  return { roots, pathOf }
}

/** The longest root that a path lies below, taken away. */
function below(roots: readonly string[], path: string): string | undefined {
  const root = roots.filter((each) => path.startsWith(`${each}/`)).toSorted((a, b) => b.length - a.length)[0]
  return root === undefined ? undefined : path.slice(root.length)
}

/** Makes what is planned, all trees at once; the problems of settings that are not required. */
export async function makeCgroups(plan: CgroupPlan): Promise<readonly string[]> {
  const trees = Map.groupBy(plan.cgroups, ({ path }) =>
    path.endsWith(WORK) || path.endsWith(AGENT) ? dirname(path) : path,
  )
  // All are waited for, so that none is made behind a failure.
  const made = await Promise.allSettled([...trees.values()].map(makeTree))
  return made.flatMap((outcome) => {
    if (outcome.status === 'rejected') throw outcome.reason
    return outcome.value
  })
}

/** Parents stand before what is in them. */
async function makeTree(groups: CgroupPlan['cgroups']): Promise<readonly string[]> {
  const problems: string[] = []
  for (const { path, set } of groups) {
    await mkdir(path, { mode: 0o755 })
    for (const { file, value, required } of set) {
      try {
        await writeFile(join(path, file), value)
      } catch (cause) {
        const text = `${file}: ${cause instanceof Error ? cause.message : String(cause)}`
        if (required) throw new CoveError('limit-not-enforceable', `a limit cannot be set: ${text}`, {}, { cause })
        problems.push(text)
      }
    }
  }
  return problems
}

/** Removes the machine's group in every tree with all below it; whatever still runs in there is killed. */
export async function removeCgroups(roots: readonly string[], folder: string): Promise<void> {
  const end = performance.now() + REMOVE_MS
  await Promise.all(
    roots.map(async (root) => {
      while (!(await removeGroup(join(root, folder)))) {
        if (performance.now() > end) throw new CoveError('deadline-exceeded', `${join(root, folder)} is still in use`)
        await pause(LOOK_MS)
      }
    }),
  )
}

async function removeGroup(path: string): Promise<boolean> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => undefined)
  if (entries === undefined) return true
  let empty = true
  for (const entry of entries) if (entry.isDirectory()) empty = (await removeGroup(join(path, entry.name))) && empty
  const done = await rmdir(path).then(
    () => true,
    (error: unknown) => error instanceof Error && 'code' in error && error.code === 'ENOENT',
  )
  if (done || !empty) return done
  const pids = (await readFile(join(path, 'cgroup.procs'), 'utf8').catch(() => '')).split('\n').filter(Boolean)
  for (const pid of pids.map(Number)) {
    // 0: a process that this pid namespace cannot name.
    if (pid > 1) kill(pid)
  }
  return false
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended in the meantime.
  }
}
