import { formatBytes, formatDuration } from '@cove/domain'
import { loadConfig } from '../config/load.ts'
import type { Io } from '../io.ts'
import { writeData } from '../render/data.ts'
import { daemonFilePath } from './data-dir.ts'
import { readLivingDaemon } from './daemon-file.ts'
import type { ReportArgs } from './up-args.ts'

/** Exit status of `cove status` when no daemon runs. */
const NOT_RUNNING = 1

/** `cove status`: whether the daemon of this data directory runs, and how it is. */
export async function status(args: ReportArgs, io: Io): Promise<number> {
  const { settings } = await loadConfig({ env: io.env, flags: args.flags, file: args.config })
  const daemon = await readLivingDaemon(daemonFilePath(settings.dataDir))
  const { format } = args.output
  if (daemon === undefined) {
    if (format !== 'table') await writeData(io, format, { running: false })
    else {
      io.stdout.write('Cove is not running.\n')
      io.stderr.write('fix: start it with `cove up` (or `cove up --detach`)\n')
    }
    return NOT_RUNNING
  }
  const { daemonClient } = await import('./client.ts')
  const facts = await (await daemonClient(settings.dataDir, daemon)).system.status()
  if (format !== 'table') {
    await writeData(io, format, { running: true, url: daemon.url, pid: daemon.pid, ...facts })
    return 0
  }
  const counts = Object.entries(facts.sandboxes).filter(([, count]) => count > 0)
  const rows: [string, string][] = [
    ['Address', daemon.url],
    ['Version', facts.version],
    [
      'Process',
      `${daemon.pid}, up ${formatDuration(Math.floor((Date.now() - facts.startedAt.getTime()) / 1000) * 1000)}, ${formatBytes(facts.residentBytes)}`,
    ],
    ['Data', settings.dataDir],
    [
      'Drivers',
      facts.drivers
        .map(({ name, proven, chosen }) => `${name}${proven ? '' : ' (not proven)'}${chosen ? ' (default)' : ''}`)
        .join(', '),
    ],
    ['Sandboxes', counts.length === 0 ? 'none' : counts.map(([state, count]) => `${count} ${state}`).join(', ')],
  ]
  io.stdout.write(rows.map(([name, value]) => `${name.padEnd(10)} ${value}\n`).join(''))
  return 0
}
