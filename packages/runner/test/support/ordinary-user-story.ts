/** The life of host processes as an ordinary user has it. Run as a program of its own, it prints what it saw. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CoveError } from '@cove/domain'
import type { HostProcess } from '../../src/index.ts'
import { type Bench, eventually, isAlive, openBench, said } from './bench.ts'

export interface Story {
  readonly uid: number
  readonly inside: string
  readonly overlay: string
  readonly lowerAfter: string
  readonly rangeRefused: string
  readonly cgroupRefused: string
  readonly cgroupProblems: number
  readonly adopted: string
  readonly treeLeft: number
  readonly left: readonly string[]
}

async function codeOf(start: Promise<HostProcess>): Promise<string> {
  try {
    await start
    return 'started'
  } catch (error) {
    return CoveError.from(error).code
  }
}

async function overlay(bench: Bench): Promise<string> {
  const path = (name: string): string => join(bench.folder, name)
  mkdirSync(path('low'))
  writeFileSync(path('low/file'), 'below')
  const folders = ['up', 'work', 'all'].map((name) => ({ path: path(name), mode: 0o755 }))
  const process = await bench.start('overlay', `cd ${path('all')}; cat file; echo above > file; cat file`, {
    stdio: 'held',
    userNamespace: { kind: 'self', uid: 0, gid: 0 },
    folders,
    mounts: [
      {
        kind: 'overlay',
        lower: [path('low')],
        upper: path('up'),
        work: path('work'),
        target: path('all'),
        mapped: false,
      },
    ],
    removeOnDestroy: folders.map((folder) => folder.path),
  })
  return await said(process)
}

export async function tell(): Promise<Story> {
  await using bench = await openBench()
  const inside = await said(
    await bench.start('inside', 'id -u; id -g', {
      stdio: 'held',
      userNamespace: { kind: 'self', uid: 1000, gid: 100 },
    }),
  )
  const seen = await overlay(bench)
  const lowerAfter = readFileSync(join(bench.folder, 'low/file'), 'utf8')
  const range = { kind: 'range', base: 100_000, count: 65_536 } as const
  const rangeRefused = await codeOf(bench.start('range', 'true', { userNamespace: range }))
  const group = { path: '/sys/fs/cgroup/pids/cove-test-ordinary', join: true }
  const required = [{ file: 'pids.max', value: '5', required: true }]
  const wished = [{ file: 'pids.max', value: '5', required: false }]
  const cgroupRefused = await codeOf(bench.start('required', 'true', { cgroups: [{ ...group, set: required }] }))
  const limited = await bench.start('wished', 'true', { cgroups: [{ ...group, set: wished }] })

  const tree = await bench.start('tree', 'sleep 1000 & echo $!; setsid sleep 1000', { stdio: 'held' })
  const child = Number(await eventually(async () => Buffer.from(await tree.output('stdout')).toString() || undefined))
  process.kill(await bench.launcherPid(), 'SIGKILL')
  const adopted = await eventually(async () => await bench.launcher.get('tree').catch(() => undefined))
  const state = adopted.state
  for (const process_ of await bench.launcher.list()) await bench.launcher.destroy(process_.id)
  return {
    uid: process.getuid?.() ?? -1,
    inside,
    overlay: seen,
    lowerAfter,
    rangeRefused,
    cgroupRefused,
    cgroupProblems: limited.cgroupProblems.length,
    adopted: state,
    treeLeft: [tree.pid, child].filter(isAlive).length,
    left: [...readdirSync(bench.folder), ...readdirSync(join(bench.stateDir, 'records'))].filter(
      (name) => existsSync(join(bench.folder, name)) && name !== 's' && name !== 'low',
    ),
  }
}

if (process.argv[1] === import.meta.filename) console.log(JSON.stringify(await tell()))
