import { CoveError } from '@cove/domain'
import type { Launcher } from './launcher.ts'

export interface OpenLauncherOptions {
  /** Path of the guest program. */
  readonly binary: string
  /**
   * Folder of its sockets, records and log, made with 0700 when missing; its parent must exist. At most 80 bytes,
   * for a socket's path has at most 107.
   */
  readonly stateDir: string
  /** Owner of durable records: 1 to 64 of letters, digits and dash. */
  readonly installation: string
  /** A launcher without a connection and without a live process ends by itself after this time. Default 30,000. */
  readonly idleMs?: number
  /** Gives up opening; does not close what is open. */
  readonly signal?: AbortSignal
}

/** Connects to the launcher of this binary and folder, starting it when none listens. */
export async function openLauncher(options: OpenLauncherOptions): Promise<Launcher> {
  await Promise.resolve()
  throw new CoveError('launcher-unavailable', `no launcher in ${options.stateDir}`)
}
