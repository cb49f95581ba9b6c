export { createBubblewrapDriver, type BubblewrapOptions } from './bubblewrap/driver.ts'
