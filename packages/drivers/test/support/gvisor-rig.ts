import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createGvisorDriver } from '../../src/gvisor/driver.ts'
import { isTooOld, OWN_PLACE } from '../../src/gvisor/tool.ts'
import { hasInternet, isRoot, openHostRig, type HostRig } from './host-rig.ts'
import { noSmallRoot, smallRoot } from './small-root.ts'

const INSTALLED = [OWN_PLACE, '/usr/bin/runsc', '/usr/local/bin/runsc'].find((path) => existsSync(path))
const VERSION = INSTALLED === undefined ? '' : execFileSync(INSTALLED, ['--version'], { encoding: 'utf8' })

export const LAYERS_PROGRAM = fileURLToPath(new URL('../../../../build/cove-layers', import.meta.url))

/** Why gVisor cannot be tried here; undefined where it can. */
export const noGvisor =
  INSTALLED === undefined || isTooOld(VERSION)
    ? 'runsc is not installed, or too old (tooling/ci/gvisor.sh)'
    : isRoot
      ? noSmallRoot
      : 'gVisor needs root here'

/** gVisor over a small root of its own. */
export async function openGvisorRig(): Promise<HostRig> {
  const folder = await mkdtemp(join(tmpdir(), 'cove-test-'))
  const rig = await openHostRig({
    prefix: 'gvisor-',
    agent: 'child',
    open: (parts) => createGvisorDriver({ ...parts, layersProgram: LAYERS_PROGRAM }),
    traits: {
      users: ['root', 'user'],
      enforces: ['memoryBytes', 'cpus', 'diskBytes'],
      ownFiles: true,
      pausable: true,
      internet: hasInternet,
      savesMemory: true,
      outOfMemory: 'machine',
      volumes: true,
      readsDisk: true,
      resizable: true,
    },
  })
  return {
    ...rig,
    from: await smallRoot(folder),
    [Symbol.asyncDispose]: async () => {
      await rig[Symbol.asyncDispose]()
      await rm(folder, { recursive: true })
    },
  }
}
