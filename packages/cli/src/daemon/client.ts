import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Cove } from '@cove/sdk'
import type { DaemonRecord } from './daemon-file.ts'

/** A client of the daemon of this data directory, whatever the environment names. */
export async function daemonClient(dataDir: string, daemon: DaemonRecord): Promise<Cove> {
  return new Cove({ url: daemon.url, apiKey: (await readFile(join(dataDir, 'api-key'), 'utf8')).trim() })
}
