export { packFolder } from '../templates/folder-context.ts'
export { download } from './download.ts'
export { upload } from './upload.ts'
