import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { expect, it } from 'vitest'
import type { HostProcessSpec } from '../src/index.ts'
import { type Bench, eventually, isAlive, isRoot, openBench, shell } from './support/bench.ts'

const ROUNDS = 40
/** Starts and destroys under way at once. */
const WIDE = 4
const PIDS = '/sys/fs/cgroup/pids'
const withCgroups = isRoot && existsSync(join(PIDS, 'tasks'))
const GROUP = `cove-test-kill-${process.pid}-`

function spec(bench: Bench, id: string): HostProcessSpec {
  const folder = join(bench.folder, `m-${id}`)
  return shell(id, `: ${bench.folder}; sleep 1000 & sleep 1000`, {
    stdio: 'held',
    folders: [{ path: folder, mode: 0o700 }],
    listen: [{ fd: 3, path: join(folder, 's'), mode: 0o600 }],
    removeOnDestroy: [folder],
    ...(isRoot ? { userNamespace: { kind: 'range', base: 500_000, count: 1000 } } : {}),
    // Every other one has only its tree to be found by.
    ...(withCgroups && Number(id.at(-1)) % 4 < 2
      ? { cgroups: [{ path: join(PIDS, GROUP + id), set: [], join: true }] }
      : {}),
  })
}

/** Starts and destroys until the launcher is gone. */
async function churn(bench: Bench, lane: number, killed: AbortSignal): Promise<void> {
  for (let index = 0; !killed.aborted; index += 1) {
    const id = `${lane}-${index}`
    try {
      await bench.launcher.start(spec(bench, id))
      if (index % 2 === 0) await bench.launcher.destroy(id)
    } catch {
      return
    }
  }
}

const folders = (bench: Bench): string[] => readdirSync(bench.folder).filter((name) => name.startsWith('m-'))
const groups = (): string[] => (withCgroups ? readdirSync(PIDS).filter((name) => name.startsWith(GROUP)) : [])

/** Everything that carries this bench's folder in its command line, but for the launcher that now listens. */
async function processes(bench: Bench): Promise<number[]> {
  const launcher = await bench.launcherPid()
  const pids = readdirSync('/proc').map(Number)
  return pids.filter(
    (pid) => pid > 1 && pid !== process.pid && pid !== launcher && isAlive(pid) && mentions(pid, bench),
  )
}

function isStopped(pid: number): boolean {
  try {
    return / T /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return true
  }
}

function mentions(pid: number, bench: Bench): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(bench.folder)
  } catch {
    return false
  }
}

it(`whenever the launcher is killed, the next one finds everything (${ROUNDS} times)`, async () => {
  await using bench = await openBench()
  for (let round = 0; round < ROUNDS; round += 1) {
    const pid = await bench.launcherPid()
    const killed = new AbortController()
    const lanes = Array.from({ length: WIDE }, async (_, lane) => await churn(bench, lane, killed.signal))
    const until = performance.now() + Math.random() * 15
    while (performance.now() < until) await setImmediate()
    process.kill(pid, 'SIGKILL')
    killed.abort()
    await Promise.all(lanes)

    const found = await eventually(async () => await bench.launcher.list().catch(() => undefined))
    const known = new Set(found.map((entry) => entry.id))
    expect(folders(bench).filter((name) => !known.has(name.slice(2)))).toEqual([])
    expect(groups().filter((name) => !known.has(name.slice(GROUP.length)))).toEqual([])
    const running = new Set(found.filter((entry) => entry.state === 'running').map((entry) => entry.pid))
    // A child that waits at its gate ends as soon as its launcher is gone. What a destroy has stopped stays so.
    const expected = (one: number): boolean => running.has(one) || isStopped(one)
    await eventually(async () => (await processes(bench)).every(expected) || undefined)

    await Promise.all(found.map(async (entry) => await bench.launcher.destroy(entry.id)))
    expect(folders(bench)).toEqual([])
    expect(groups()).toEqual([])
    expect(await processes(bench)).toEqual([])
    expect(readdirSync(join(bench.stateDir, 'records'))).toEqual([])
  }
})
