import type { Command } from 'commander'
import { loadConfig } from '../config/load.ts'
import type { Io } from '../io.ts'
import type { Procs } from '../proc/procs.ts'

/** Which installation's processes are meant. */
export function addProcPlace(command: Command): Command {
  return command.option('--data-dir <directory>', 'where state is kept (default: that of `cove up`)')
}

export async function openProcs(command: Command, io: Io): Promise<Procs> {
  const { dataDir } = command.opts<{ dataDir?: string }>()
  const { settings } = await loadConfig({ env: io.env, flags: dataDir === undefined ? {} : { dataDir } })
  const { Procs: opened } = await import('../proc/procs.ts')
  return opened.open(settings.dataDir, io)
}
