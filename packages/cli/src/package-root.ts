import { join } from 'node:path'

/** Folder of this package's manifest: above `src` in a checkout, above `dist` in what is published. */
export const PACKAGE_ROOT = join(import.meta.dirname, '..')

/** Whether this runs from source: what is published is JavaScript. */
export const IN_CHECKOUT = import.meta.filename.endsWith('.ts')
