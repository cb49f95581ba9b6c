import { LIMIT_NAMES } from '@cove/domain'
import { systemClock, systemRandom } from '@cove/domain/system'
import { driverConformance, type DriverRig, type Fault } from '../conformance/index.ts'
import { createFakeDriver } from './driver.ts'
import { FakeWorld, type FakeFaults } from './fake-world.ts'

driverConformance('fake', () => {
  const world = new FakeWorld(systemClock, systemRandom)
  const fault = (name: 'beforeCreate' | 'afterBuilt'): Fault => ({
    name,
    arm: () => {
      world.faults[name] = fail
    },
    disarm: () => {
      world.faults[name] = undefined
    },
  })
  const rig: DriverRig = {
    driver: createFakeDriver({ world }),
    restart: () => Promise.resolve(createFakeDriver({ world })),
    killGuest: (id) => {
      const exit = { kind: 'signaled', signal: 9 } as const
      world.machines.get(id)?.end(exit)
      return Promise.resolve(exit)
    },
    leftovers: () => Promise.resolve([...world.machines.keys(), ...world.disks.keys()]),
    faults: [fault('beforeCreate'), fault('afterBuilt')],
    traits: { users: ['root', 'user'], enforces: LIMIT_NAMES, ownFiles: true, pausable: true, internet: true },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
  return Promise.resolve(rig)
})

const fail: NonNullable<FakeFaults['beforeCreate']> = () => {
  throw new Error('a fault on request')
}
