import { join } from 'node:path'
import { silentLog } from '@cove/domain'
import { Networks } from '@cove/network'
import type { LaunchedRecord } from '../host/launched-records.ts'
import type { BubblewrapOptions } from './driver.ts'
import type { Prepared } from './prepare.ts'

/** The networks of these machines; those of others that are gone end. */
export function openNetworks(
  options: BubblewrapOptions,
  prepared: Prepared,
  records: readonly LaunchedRecord[],
): Promise<Networks> {
  return Networks.open(
    {
      launcher: options.launcher,
      // The copy that the machines run: it is in memory once.
      guestProgram: join(prepared.folders.stage, 'program'),
      runtimeDir: options.runtimeDir ?? options.stateDir,
      log: options.log ?? silentLog,
      ...options.network,
    },
    new Set(records.map(({ note }) => note.machine)),
  )
}
