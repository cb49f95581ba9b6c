export { FakeGuest, type FakeGuestOptions, type FakeServer } from './fake-guest.ts'
export { FakeFiles, PLAIN_USER, ROOT_USER, type FakeUser } from './fake-files.ts'
export { type Program, type ProgramContext } from './fake-process.ts'
export { memoryPair } from './memory-pair.ts'
