import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { PACKAGE_ROOT } from './package-root.ts'

/** Of this package. */
export const VERSION: string = (
  JSON.parse(readFileSync(join(PACKAGE_ROOT, 'package.json'), 'utf8')) as { version: string }
).version

/** What `cove version` and `cove --version` show to people. */
export const VERSION_LINE = `cove ${VERSION} (node ${process.versions.node}, ${process.platform}-${process.arch})`
