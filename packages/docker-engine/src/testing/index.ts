export { TestDockerd, missingForDockerd } from './test-dockerd.ts'
