import { hasInternet, isRoot, openHostRig } from '../../test/support/host-rig.ts'
import { driverConformance } from '../conformance/index.ts'
import { createBubblewrapDriver } from './driver.ts'

driverConformance(`bubblewrap as ${isRoot ? 'root' : 'an ordinary user'}`, () =>
  openHostRig({
    prefix: 'bwrap-',
    agent: 'child',
    open: createBubblewrapDriver,
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
  }),
)
