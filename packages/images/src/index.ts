export { openImageStore } from './store/open-image-store.ts'
export type { DockerfileBuild, DockerfileBuilder, ImageStoreOptions } from './store/options.ts'
export type { Credentials, RegistryOptions } from './registry/registry.ts'
export { formatPlatform, hostPlatform, parsePlatform } from './registry/platform.ts'
export { formatReference, parseReference, type Reference } from './reference/reference.ts'
export { copyTree, type CopyTreeRequest } from './layers/copy-tree.ts'
export {
  copyFile,
  hasMark,
  MAX_SAMPLES,
  type CopiedFile,
  type CopyFileRequest,
  type FileMark,
} from './layers/copy-file.ts'
export { keepFile, type KeptFile } from './layers/keep-file.ts'
