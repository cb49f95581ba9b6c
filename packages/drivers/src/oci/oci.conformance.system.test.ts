import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { hasInternet, isRoot, openHostRig } from '../../test/support/host-rig.ts'
import { noSmallRoot, smallRoot } from '../../test/support/small-root.ts'
import { driverConformance } from '../conformance/index.ts'
import { skipped } from '../../test/support/runtimes.ts'
import { createOciDriver } from './driver.ts'

for (const runtime of ['crun', 'runc'] as const) {
  driverConformance(
    `${runtime} as ${isRoot ? 'root' : 'an ordinary user'}`,
    async () => {
      const folder = await mkdtemp(join(tmpdir(), 'cove-test-'))
      const rig = await openHostRig({
        prefix: `${runtime}-`,
        agent: 'child',
        open: (parts) => createOciDriver({ ...parts, runtime }),
        traits: {
          users: isRoot ? ['root', 'user'] : ['user'],
          enforces: isRoot ? ['memoryBytes', 'cpus', 'processes', 'diskBytes'] : ['diskBytes'],
          ownFiles: true,
          pausable: isRoot,
          internet: hasInternet,
          volumes: true,
          readsDisk: isRoot,
          resizable: isRoot,
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
    },
    { skip: skipped(runtime) ?? noSmallRoot },
  )
}
