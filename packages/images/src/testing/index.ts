export { TestRegistry, missingForRegistry, type TestRegistryOptions } from './test-registry.ts'
export { TestImage, type TestImageOptions } from './test-image.ts'
export { tarBytes, type TarBytesEntry } from './tar-bytes.ts'
export { ScriptedRegistry, type Script } from './scripted-registry.ts'
