import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { LimitReport } from '@cove/domain'
import { readReports } from '../host/machine-note.ts'

const NAME = 'limits'

/** Remembers limits that were changed after the start, in the folder of the machine. */
export async function keepLimits(folder: string, limits: readonly LimitReport[]): Promise<void> {
  const path = join(folder, NAME)
  await writeFile(`${path}.new`, JSON.stringify(limits))
  await rename(`${path}.new`, path)
}

/** Undefined where none were changed. */
export async function keptLimits(folder: string): Promise<readonly LimitReport[] | undefined> {
  try {
    return readReports(JSON.parse(await readFile(join(folder, NAME), 'utf8')))
  } catch {
    return undefined
  }
}
