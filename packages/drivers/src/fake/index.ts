export { createFakeDriver, type FakeDriverOptions } from './driver.ts'
export { FakeWorld, type FakeFaults, type FakeMachineState } from './fake-world.ts'
