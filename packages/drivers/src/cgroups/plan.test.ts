import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parseTrees, findHierarchies } from './hierarchies.ts'
import { planCgroups } from './plan.ts'

const MiB = 1024 * 1024
const limits = {
  memoryBytes: { value: 256 * MiB, required: true },
  cpus: { value: 0.5, required: false },
  processes: { value: 64, required: true },
}

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'cove-test-'))
})
afterEach(async () => {
  await rm(root, { recursive: true })
})

const v1 = (names: string) => `30 23 0:29 / ${join(root, names)} rw - cgroup cgroup rw,${names}`
const v2 = (path: string) => `41 31 0:38 / ${path} rw - cgroup2 cgroup2 rw`

describe('on a host with cgroup v1', () => {
  it('gives each controller its own tree, the agent a reserve and the workload the limits', async () => {
    for (const name of ['memory', 'cpu,cpuacct', 'pids', 'freezer']) await mkdir(join(root, name))
    const hierarchies = await findHierarchies({
      prefix: 'cove-x-',
      mountinfo: [v1('memory'), v1('cpu,cpuacct'), v1('pids'), v1('freezer')].join('\n'),
      selfCgroup: '4:memory:/elsewhere\n1:cpu,cpuacct:/\n',
    })
    const plan = planCgroups(hierarchies, 'm1', limits)
    const memory = join(root, 'memory/cove-x-m1')
    expect(plan.cgroups.filter(({ path }) => path.startsWith(memory))).toEqual([
      {
        path: memory,
        join: true,
        set: [
          { file: 'memory.limit_in_bytes', value: String(280 * MiB), required: true },
          { file: 'memory.memsw.limit_in_bytes', value: String(280 * MiB), required: false },
        ],
      },
      {
        path: join(memory, 'work'),
        set: [
          { file: 'memory.limit_in_bytes', value: String(256 * MiB), required: true },
          { file: 'memory.memsw.limit_in_bytes', value: String(256 * MiB), required: false },
        ],
      },
    ])
    expect(plan.workloadJoin).toEqual(
      ['memory', 'cpu,cpuacct', 'pids'].map((name) => join(root, name, 'cove-x-m1/work/tasks')),
    )
    const work = plan.cgroups.filter(({ path }) => path.endsWith('/work')).flatMap(({ set }) => set)
    expect(work).toContainEqual({ file: 'cpu.cfs_quota_us', value: '50000', required: false })
    expect(work).toContainEqual({ file: 'pids.max', value: '64', required: true })
    expect(plan.files.freeze?.file).toBe(join(root, 'freezer/cove-x-m1/freezer.state'))
    expect(plan.reports.every(({ enforced }) => enforced)).toBe(true)

    expect(await readdir(join(root, 'memory'))).toEqual([])
  })
})

describe('on a host with cgroup v2', () => {
  it('hands the controllers down and keeps agent and workload in leaves of one group', async () => {
    await writeFile(join(root, 'cgroup.controllers'), 'cpuset cpu io memory pids\n')
    await writeFile(join(root, 'cgroup.subtree_control'), '\n')
    const hierarchies = await findHierarchies({ prefix: 'cove-x-', mountinfo: v2(root), selfCgroup: '0::/\n' })
    expect(await readFile(join(root, 'cgroup.subtree_control'), 'utf8')).toBe('+pids')

    const plan = planCgroups(hierarchies, 'm1', limits)
    const machine = join(root, 'cove-x-m1')
    expect(plan.cgroups.map(({ path }) => path)).toEqual([machine, join(machine, 'agent'), join(machine, 'work')])
    expect(plan.cgroups.map(({ join: joined }) => joined === true)).toEqual([false, true, false])
    expect(plan.cgroups[0]?.set).toContainEqual({
      file: 'cgroup.subtree_control',
      value: '+memory +cpu +pids',
      required: true,
    })
    expect(plan.cgroups[2]?.set).toEqual([
      { file: 'memory.max', value: String(256 * MiB), required: true },
      { file: 'memory.swap.max', value: '0', required: false },
      { file: 'cpu.max', value: '50000 100000', required: false },
      { file: 'pids.max', value: '64', required: true },
    ])
    expect(plan.workloadJoin).toEqual([join(machine, 'work/cgroup.procs')])
    expect(plan.files.workloadOom).toBe(join(machine, 'work/memory.events'))
    expect(plan.files.agentOom).toBe(join(machine, 'agent/memory.events'))
  })

  it('knows its own group below a mount that shows only part of the tree', () => {
    const [tree] = parseTrees('41 31 0:38 /user.slice /sys/fs/cg\\040x rw - cgroup2 cgroup2 rw', '0::/user.slice/me\n')
    expect(tree).toMatchObject({ version: 2, mountPoint: '/sys/fs/cg x', own: '/me' })
  })
})

describe('on a hybrid host', () => {
  it('uses v1 for everything when v1 has everything', async () => {
    for (const name of ['memory', 'cpu', 'pids', 'freezer', 'unified']) await mkdir(join(root, name))
    const hierarchies = await findHierarchies({
      prefix: 'cove-x-',
      mountinfo: [v1('memory'), v1('cpu'), v1('pids'), v1('freezer'), v2(join(root, 'unified'))].join('\n'),
      selfCgroup: '',
    })
    expect(await readdir(join(root, 'unified'))).toEqual([])
    expect(planCgroups(hierarchies, 'm1', limits).files.freeze?.version).toBe(1)
  })

  it('limits through v1 and freezes through the unified tree where that is what there is', async () => {
    await mkdir(join(root, 'memory'))
    await mkdir(join(root, 'unified'))
    await writeFile(join(root, 'unified/cgroup.controllers'), 'hugetlb\n')
    const hierarchies = await findHierarchies({
      prefix: 'cove-x-',
      mountinfo: [v1('memory'), v2(join(root, 'unified'))].join('\n'),
      selfCgroup: '',
    })
    const plan = planCgroups(hierarchies, 'm1', limits)
    expect(plan.cgroups.map(({ path }) => path)).toEqual([
      join(root, 'memory/cove-x-m1'),
      join(root, 'memory/cove-x-m1/work'),
      join(root, 'unified/cove-x-m1'),
    ])
    expect(plan.files.freeze?.file).toBe(join(root, 'unified/cove-x-m1/cgroup.freeze'))
    expect(plan.files.cpuStat).toBe(join(root, 'unified/cove-x-m1/cpu.stat'))
    const unenforced = plan.reports.filter(({ enforced }) => !enforced)
    expect(unenforced.map(({ name }) => name)).toEqual(['cpus', 'processes'])
    expect(unenforced[0]?.reason).toContain('has none of its controllers')
  })
})

it('says so where there are no cgroups at all', async () => {
  const hierarchies = await findHierarchies({ prefix: 'cove-x-', mountinfo: '', selfCgroup: '' })
  const plan = planCgroups(hierarchies, 'm1', limits)
  expect(plan.cgroups).toEqual([])
  expect(plan.reports.map(({ reason }) => reason)).toEqual([
    'the kernel offers no memory cgroups here',
    'the kernel offers no cpu cgroups here',
    'the kernel offers no pids cgroups here',
  ])
})
