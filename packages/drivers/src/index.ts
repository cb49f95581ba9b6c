export { createBubblewrapDriver, type BubblewrapOptions } from './bubblewrap/driver.ts'
export { createNativeDriver, type NativeOptions } from './native/driver.ts'
export { createOciDriver, type OciOptions } from './oci/driver.ts'
