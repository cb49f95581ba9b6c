import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Cove } from '@cove/sdk'
import type { DaemonRecord } from './daemon-file.ts'

/** A client of the daemon of this data directory, whatever the environment names. */
export async function daemonClient(dataDir: string, daemon: DaemonRecord, project?: string): Promise<Cove> {
  const apiKey = (await readFile(join(dataDir, 'api-key'), 'utf8')).trim()
  return new Cove({ url: daemon.url, apiKey, ...(project === undefined ? {} : { project }) })
}

/** One client for each project that there is. */
export async function* projectClients(dataDir: string, daemon: DaemonRecord): AsyncGenerator<Cove> {
  for (const { name } of await (await daemonClient(dataDir, daemon)).projects.list()) {
    yield daemonClient(dataDir, daemon, name)
  }
}
