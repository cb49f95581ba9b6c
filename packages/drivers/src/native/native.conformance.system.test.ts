import { isRoot, openHostRig } from '../../test/support/host-rig.ts'
import { driverConformance } from '../conformance/index.ts'
import { createNativeDriver } from './driver.ts'

driverConformance(`native as ${isRoot ? 'root' : 'an ordinary user'}`, () =>
  openHostRig({
    prefix: 'native-',
    agent: 'leader',
    open: createNativeDriver,
    traits: {
      users: ['user'],
      enforces: isRoot ? ['memoryBytes', 'cpus', 'processes'] : [],
      ownFiles: false,
      pausable: isRoot,
      volumes: false,
    },
  }),
)
