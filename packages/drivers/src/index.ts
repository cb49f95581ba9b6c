export { createBubblewrapDriver, type BubblewrapOptions } from './bubblewrap/driver.ts'
export { createFakeDriver, type FakeDriverOptions } from './fake/driver.ts'
export { FakeWorld, type FakeFaults, type FakeMachineState } from './fake/fake-world.ts'
export { createNativeDriver, type NativeOptions } from './native/driver.ts'
