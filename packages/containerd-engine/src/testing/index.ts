export { TestContainerd, missingForContainerd } from './test-containerd.ts'
