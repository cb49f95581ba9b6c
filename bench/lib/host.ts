import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { newMachineId, type MachineSpec } from '@cove/domain'
import { systemRandom } from '@cove/domain/system'
import { createBubblewrapDriver } from '@cove/drivers'
import { openLauncher } from '@cove/runner'

export const GUEST_PROGRAM = join(import.meta.dirname, '../../build/cove-guest')

const TMPFS_MAGIC = 0x01021994

/** Launcher and bubblewrap driver inside this process, for what can only be measured from inside. */
export async function openHost(
  /** Starts the launcher somewhere else, before anybody asks for it. */
  startLauncher?: (binary: string, stateDir: string, installation: string) => Promise<void>,
) {
  // Records and sockets where the daemon has them: in memory, where the host has a place for that.
  const memory = await statfs('/dev/shm').then(
    ({ type }) => type === TMPFS_MAGIC,
    () => false,
  )
  const stateDir = await mkdtemp(join(tmpdir(), 'cove-bench-'))
  const runtimeDir = await mkdtemp(join(memory ? '/dev/shm' : tmpdir(), 'cove-bench-'))
  const installation = newMachineId(systemRandom)
  await startLauncher?.(GUEST_PROGRAM, join(runtimeDir, 'l'), installation)
  const launcher = await openLauncher({ binary: GUEST_PROGRAM, stateDir: join(runtimeDir, 'l'), installation })
  const driver = createBubblewrapDriver({
    launcher,
    guestProgram: GUEST_PROGRAM,
    stateDir: join(stateDir, 'd'),
    runtimeDir: join(runtimeDir, 'd'),
    installation,
    random: systemRandom,
  })
  return {
    launcher,
    driver,
    installation,
    async [Symbol.asyncDispose]() {
      await driver.close()
      await launcher.stopLauncher()
      await launcher.close()
      for (const folder of [stateDir, runtimeDir]) await rm(folder, { recursive: true, force: true })
    },
  }
}

export const PLAIN_SPEC: MachineSpec = {
  from: { kind: 'host' },
  limits: {},
  network: { kind: 'none' },
  hostname: 'bench',
}

/** Raises this process to about `mib` of resident memory until the returned holder is dropped. */
export function ballast(mib: number): { readonly held: readonly Buffer[] } {
  const wanted = mib * 1024 * 1024 - process.memoryUsage.rss()
  const held: Buffer[] = []
  // Random bytes, so that no page is shared with another.
  for (let size = 0; size < wanted; size += 8 << 20) held.push(randomBytes(8 << 20))
  return { held }
}

/** Pids whose cgroup path names the installation. */
export async function processesOf(installation: string): Promise<readonly number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const found: number[] = []
  for (const pid of pids) {
    const groups = await readFile(`/proc/${pid}/cgroup`, 'utf8').catch(() => '')
    if (groups.includes(installation)) found.push(Number(pid))
  }
  return found
}

/** Proportional set size in MiB. */
export async function pssMib(pid: number): Promise<number> {
  const rollup = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => '')
  return Number(/^Pss:\s+(\d+)/m.exec(rollup)?.[1] ?? 0) / 1024
}
