export { createBubblewrapDriver, type BubblewrapOptions } from './bubblewrap/driver.ts'
export { createNativeDriver, type NativeOptions } from './native/driver.ts'
