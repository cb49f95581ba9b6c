import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { access, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openLauncher, type Launcher } from '@cove/runner'
import { GUEST_PROGRAM } from './lib/host.ts'
import { quantile, round, type Benchmark } from './lib/result.ts'

const RECORDS = 1000

/**
 * From the start of a launcher until nothing is left of 1,000 processes whose owner was killed together with the launcher
 * that had started them: every other one still runs, of the others only the record is there.
 */
export const run: Benchmark = async ({ quick }) => {
  const rounds = quick ? 1 : 5
  const times: number[] = []
  for (let index = 0; index < rounds; index += 1) times.push(await sweepOnce())
  return { name: 'runner-sweep', n: RECORDS, p50_ms: quantile(times, 0.5), p99_ms: round(Math.max(...times)) }
}

async function sweepOnce(): Promise<number> {
  // In memory, as in a user's runtime folder, where the host has a place for that.
  const memory = await access('/dev/shm').then(
    () => true,
    () => false,
  )
  const folder = await mkdtemp(join(memory ? '/dev/shm' : tmpdir(), 'cove-bench-'))
  const stateDir = join(folder, 's')
  const open = (): Promise<Launcher> => openLauncher({ binary: GUEST_PROGRAM, stateDir, installation: 'bench' })
  try {
    const owner = spawn('/bin/sleep', ['1000'])
    const first = await open()
    await fill(first, owner.pid ?? 0)
    const launcherPid = await pidOf(first, stateDir)
    await first.close()
    process.kill(launcherPid, 'SIGKILL')
    owner.kill('SIGKILL')
    await once(owner, 'exit')
    const start = performance.now()
    const next = await open()
    await next.sweep()
    const time = performance.now() - start
    const left = await next.list()
    await next.stopLauncher()
    if (left.length > 0) throw new Error(`${left.length} records are left`)
    return time
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function fill(launcher: Launcher, pid: number): Promise<void> {
  const owner = { pid, startTime: startTimeOf(pid) }
  for (let index = 0; index < RECORDS; index += 1) {
    const id = `run-${index}`
    const argv = index % 2 === 0 ? ['/bin/sleep', '1000'] : ['/bin/true']
    await launcher.start({ id, owner, argv, env: { COVE_RECORD: id } })
  }
}

async function pidOf(launcher: Launcher, stateDir: string): Promise<number> {
  await launcher.start({ id: 'probe', owner: 'durable', argv: ['/bin/true'], env: {} })
  const record = readFileSync(`${stateDir}/records/probe.record`, 'utf8')
  await launcher.destroy('probe')
  return Number(/^launcher (\d+) /m.exec(record)?.[1])
}

function startTimeOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19])
}
