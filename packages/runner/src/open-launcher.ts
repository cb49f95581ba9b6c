import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { isAbsolute, join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { CoveError } from '@cove/domain'
import type { Launcher } from './launcher.ts'
import { LauncherClient } from './launcher-client.ts'
import { type ConnectionEvents, LauncherConnection } from './launcher-connection.ts'
import { type LauncherProgram, spawnLauncher } from './spawn-launcher.ts'

export interface OpenLauncherOptions {
  /** Path of the guest program. */
  readonly binary: string
  /**
   * Absolute. Folder of its sockets, records and log, made with 0700 when missing; its parent must exist. At most
   * 80 bytes, for a socket's path has at most 107.
   */
  readonly stateDir: string
  /** Owner of durable records: 1 to 64 of letters, digits and dash. */
  readonly installation: string
  /** A launcher without a connection and without a live process ends by itself after this time. Default 30,000. */
  readonly idleMs?: number
  /** Gives up opening; does not close what is open. */
  readonly signal?: AbortSignal
}

const DEFAULT_IDLE_MS = 30_000
const MAX_STATE_DIR = 80
/** How long starting may take, with a launcher in the way that is about to end. */
const START_MS = 5000
const RETRY_MS = 10

/**
 * Connects to the launcher of this binary and folder, starting it when none listens. When it is killed, another one is
 * started and takes over. `launcher-unavailable` when it cannot be started.
 */
export async function openLauncher(options: OpenLauncherOptions): Promise<Launcher> {
  checkOptions(options)
  const program: LauncherProgram = {
    binary: resolve(options.binary),
    stateDir: options.stateDir,
    installation: options.installation,
    instance: `l1-${await hashOf(options.binary)}`,
    idleMs: options.idleMs ?? DEFAULT_IDLE_MS,
  }
  return await LauncherClient.open(
    (events, signal) => connectOrSpawn(program, events, signal),
    options.stateDir,
    options.signal,
  )
}

function checkOptions(options: OpenLauncherOptions): void {
  if (!isAbsolute(options.stateDir)) throw invalid('stateDir', 'the launcher needs an absolute state folder')
  if (Buffer.byteLength(options.stateDir) > MAX_STATE_DIR) {
    throw invalid('stateDir', `the launcher's state folder is longer than ${MAX_STATE_DIR} bytes: ${options.stateDir}`)
  }
  if (!/^[A-Za-z0-9-]{1,64}$/.test(options.installation)) {
    throw invalid('installation', 'the installation id is not 1 to 64 of letters, digits and dash')
  }
}

function invalid(field: string, message: string): CoveError {
  return new CoveError('invalid-argument', message, { field })
}

/** Short, and different for every build: launchers of different binaries never share a socket. */
async function hashOf(binary: string): Promise<string> {
  try {
    return createHash('sha256')
      .update(await readFile(binary))
      .digest('hex')
      .slice(0, 10)
  } catch (cause) {
    throw new CoveError('launcher-unavailable', `the guest program ${binary} cannot be read`, {}, { cause })
  }
}

async function connectOrSpawn(
  program: LauncherProgram,
  events: ConnectionEvents,
  signal: AbortSignal,
): Promise<LauncherConnection> {
  const path = join(program.stateDir, `${program.instance}.sock`)
  const deadline = performance.now() + START_MS
  for (;;) {
    try {
      return await LauncherConnection.connect(path, program.installation, events, signal)
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof CoveError && error.code !== 'launcher-unavailable') throw error
      if (performance.now() > deadline) throw CoveError.from(error, 'launcher-unavailable')
    }
    // False: another one holds the lock, so it is about to listen or about to end.
    if (!(await spawnLauncher(program))) await delay(RETRY_MS, undefined, { signal })
  }
}
