import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { GuestSystem } from '@cove/guest-system'
import { createFirecrackerDriver, type FirecrackerDriver } from '../../src/firecracker/driver.ts'
import { isRoot, openHostRig, type HostParts, type HostRig } from './host-rig.ts'
import { noSmallRoot, smallRoot } from './small-root.ts'
import { makeStandIns, type StandIns } from './stand-in.ts'

const TOOLS = ['/usr/bin/bwrap', '/usr/bin/mkfs.erofs', '/usr/sbin/mkfs.ext4', '/usr/bin/unshare']
const LAYERS_PROGRAM = fileURLToPath(new URL('../../../../build/cove-layers', import.meta.url))

/** Why the driver cannot be tried with a stand-in here; undefined where it can. */
export const noFirecrackerStandIn = TOOLS.some((path) => !existsSync(path))
  ? 'bubblewrap, erofs-utils, e2fsprogs or util-linux is not installed (tooling/ci/test-tools.sh)'
  : isRoot
    ? noSmallRoot
    : "Firecracker's jailer needs root"

export interface FirecrackerRig extends HostRig {
  readonly standIns: StandIns
  /** Another driver over the same stand-ins. */
  open(parts: HostParts): FirecrackerDriver
}

/** The driver over stand-ins of Firecracker and its jailer, and of a kernel. */
export async function openFirecrackerRig(): Promise<FirecrackerRig> {
  const folder = await mkdtemp(join(tmpdir(), 'cove-test-'))
  const standIns = await makeStandIns()
  const file = async (name: string) => {
    await writeFile(join(folder, name), name)
    return join(folder, name)
  }
  const system: GuestSystem = {
    id: 'stand-in',
    kernel: await file('kernel'),
    initrd: await file('initrd'),
    packInitrd: await file('pack'),
    origin: 'built',
    version: '6.1.0',
    acpi: false,
    has: { ninep: true, virtiofs: true, vsock: true, smp: true },
  }
  const open = (parts: HostParts) =>
    createFirecrackerDriver({
      ...parts,
      guestSystems: { current: () => Promise.resolve(system) },
      firecracker: standIns.firecracker,
      jailer: standIns.jailer,
      layersProgram: LAYERS_PROGRAM,
      // What it stands in for needs one; it does not.
      kvmDevice: '/dev/null',
    })
  const rig = await openHostRig({
    prefix: 'firecracker-',
    agent: 'child',
    open,
    traits: {
      users: ['user'],
      enforces: ['memoryBytes', 'cpus', 'diskBytes'],
      ownFiles: false,
      pausable: true,
      volumes: false,
      resizable: 'cpus',
    },
  })
  const agentPid: HostRig['agentPid'] = async (id) => {
    const record = await rig.parts.launcher.get(`firecracker-${id}`)
    for (let pids = [record?.pid ?? 0]; pids.length > 0; pids = (await Promise.all(pids.map(childrenOf))).flat()) {
      for (const pid of pids) {
        const words = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0')
        if (words[1] === 'agent') return pid
      }
    }
    throw new Error(`machine ${id} has no agent`)
  }
  return {
    ...rig,
    from: await smallRoot(folder),
    standIns,
    open,
    agentPid,
    killGuest: async (id) => {
      process.kill(await agentPid(id), 'SIGKILL')
      return { kind: 'signaled', signal: 9 }
    },
    [Symbol.asyncDispose]: async () => {
      await rig[Symbol.asyncDispose]()
      await standIns[Symbol.asyncDispose]()
      await rm(folder, { recursive: true })
    },
  }
}

async function childrenOf(pid: number): Promise<readonly number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '')
  return text.trim().split(' ').filter(Boolean).map(Number)
}
