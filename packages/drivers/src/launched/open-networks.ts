import { join } from 'node:path'
import { silentLog } from '@cove/domain'
import { Networks } from '@cove/network'
import type { LaunchedRecord } from '../host/launched-records.ts'
import type { LaunchedOptions } from './options.ts'
import type { Prepared } from './prepare.ts'
import type { Tool } from './tool.ts'

/** The networks of these machines; those of others that are gone end. */
export function openNetworks(
  options: LaunchedOptions,
  tool: Tool,
  prepared: Prepared,
  records: readonly LaunchedRecord[],
): Promise<Networks> {
  return Networks.open(
    {
      launcher: options.launcher,
      // The copy that the machines run: it is in memory once.
      guestProgram: join(prepared.folders.stage, 'program'),
      runtimeDir: options.runtimeDir ?? options.stateDir,
      // Share 0 was there before there were others.
      ...(tool.share === 0 ? {} : { owner: tool.name }),
      log: options.log ?? silentLog,
      ...options.network,
    },
    new Set(records.map(({ note }) => note.machine)),
  )
}
