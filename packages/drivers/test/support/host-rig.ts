import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { newMachineId, type Driver, type KeepsDisks, type MachineId } from '@cove/domain'
import { systemRandom } from '@cove/domain/system'
import { openLauncher, type Launcher } from '@cove/runner'
import type { DriverRig } from '../../src/conformance/index.ts'
import { FaultyLauncher, LauncherFaults } from './faulty-launcher.ts'
import { launcherPid, leftoversOf } from './leftovers.ts'

/** The guest program as `tooling/build-guest.sh` builds it, or another one to try. */
export const GUEST_PROGRAM =
  process.env['COVE_TEST_GUEST'] ?? fileURLToPath(new URL('../../../../build/cove-guest', import.meta.url))

export const isRoot = process.getuid?.() === 0

/** What the network `internet` of bubblewrap needs is installed; `tooling/ci/test-tools.sh` installs it. */
export const hasInternet = ['/usr/sbin/nft', '/usr/bin/slirp4netns', '/dev/net/tun'].every((path) => existsSync(path))

export interface HostParts {
  /** Of the daemon of the moment. */
  readonly launcher: Launcher
  readonly guestProgram: string
  readonly stateDir: string
  readonly installation: string
}

export interface HostRig extends DriverRig {
  readonly parts: HostParts
  /** Of its own; the launcher's state is `l` in there. */
  readonly folder: string
  /** Host pid of a machine's guest agent. */
  agentPid(id: MachineId): Promise<number>
  /** With KILL; the next call starts another one. */
  killLauncher(): Promise<void>
}

/** A launcher and a driver's folder of their own; everything of it carries the installation's random name. */
export async function openHostRig(options: {
  /** What the launcher's records of this driver begin with. */
  readonly prefix: string
  /** The agent is the host process itself, or the first child of one that watches it. */
  readonly agent: 'leader' | 'child'
  open(parts: HostParts): Driver & KeepsDisks
  /** Starts the launcher somewhere else, before anybody asks for it. */
  startLauncher?(binary: string, stateDir: string, installation: string): Promise<void>
  readonly traits: DriverRig['traits']
}): Promise<HostRig> {
  const folder = await mkdtemp(join(tmpdir(), 'cove-test-'))
  const installation = newMachineId(systemRandom)
  const connect = () =>
    openLauncher({ binary: GUEST_PROGRAM, stateDir: join(folder, 'l'), installation, idleMs: 2_000 })
  await options.startLauncher?.(GUEST_PROGRAM, join(folder, 'l'), installation)
  const faults = new LauncherFaults()
  let launcher = new FaultyLauncher(await connect(), faults)
  const parts: HostParts = {
    get launcher() {
      return launcher
    },
    guestProgram: GUEST_PROGRAM,
    stateDir: join(folder, 'd'),
    installation,
  }
  // A daemon keeps the launcher's connection that it was opened with.
  let driver = options.open({ ...parts })

  const agentPid = async (id: MachineId): Promise<number> => {
    const record = await launcher.get(`${options.prefix}${id}`)
    const pid = options.agent === 'leader' ? record?.pid : await record?.initPid()
    if (pid === undefined) throw new Error(`the agent of ${id} has no pid`)
    return pid
  }

  return {
    driver,
    parts,
    folder,
    agentPid,
    restart: async () => {
      await launcher.die()
      launcher = new FaultyLauncher(await connect(), faults)
      driver = options.open({ ...parts })
      return driver
    },
    killGuest: async (id) => {
      process.kill(await agentPid(id), 'SIGKILL')
      return { kind: 'signaled', signal: 9 }
    },
    killLauncher: async () => {
      const pid = await launcherPid(folder)
      process.kill(pid, 'SIGKILL')
    },
    leftovers: () => leftoversOf(folder, installation),
    faults: faults.all,
    traits: options.traits,
    [Symbol.asyncDispose]: async () => {
      await driver.close()
      await launcher.stopLauncher()
      await launcher.close()
      await rm(folder, { recursive: true })
    },
  }
}

export async function childrenOf(pid: number): Promise<readonly number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')
  return text.trim().split(' ').filter(Boolean).map(Number)
}
