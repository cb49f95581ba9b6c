export { createBubblewrapDriver, type BubblewrapOptions } from './bubblewrap/driver.ts'
export { createContainerdDriver, type ContainerdDriverOptions } from './containerd/driver.ts'
export { createNativeDriver, type NativeOptions } from './native/driver.ts'
export { createOciDriver, type OciOptions } from './oci/driver.ts'
