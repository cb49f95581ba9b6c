import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { CoveError } from '@cove/domain'
import type { Cove } from '@cove/sdk'
import { loadConfig, type Flags } from '../config/load.ts'
import { SETTING_NAMES, flagName } from '../config/settings.ts'
import type { Io } from '../io.ts'
import { daemonFilePath } from './data-dir.ts'
import { isAlive, readLivingDaemon } from './daemon-file.ts'
import type { DownArgs } from './up-args.ts'

/** Beyond the daemon's own grace. */
const MARGIN_MS = 10_000
const LOOK_MS = 20

/** `cove down`: ends the daemon; sandboxes keep running unless `--all` deletes them first. */
export async function down(args: DownArgs, io: Io): Promise<number> {
  const { settings } = await loadConfig({ env: io.env, flags: args.flags, file: args.config })
  const path = daemonFilePath(settings.dataDir)
  let daemon = await readLivingDaemon(path)
  if (daemon === undefined && args.all && existsSync(join(settings.dataDir, 'installation'))) {
    // Sandboxes outlive the daemon, and only a daemon can end them.
    await startAgain(args, io)
    daemon = await readLivingDaemon(path)
  }
  if (daemon === undefined) {
    io.stdout.write('Cove is not running.\n')
    return 0
  }
  const { projectClients } = await import('./client.ts')
  const projects = projectClients(settings.dataDir, daemon)
  const running = args.all ? await deleteAll(projects, io) : await count(projects)
  process.kill(daemon.pid, 'SIGTERM')
  const deadline = Date.now() + settings.shutdownGrace + MARGIN_MS
  while (isAlive(daemon)) {
    if (Date.now() > deadline) {
      throw new CoveError(
        'deadline-exceeded',
        `the daemon (pid ${daemon.pid}) did not end`,
        { pid: daemon.pid },
        {
          fix: `End it with kill -9 ${daemon.pid}; nothing is lost by that.`,
        },
      )
    }
    await delay(LOOK_MS)
  }
  io.stdout.write(`Cove has stopped.${keepsRunning(running)}\n`)
  return 0
}

async function startAgain({ flags, config }: DownArgs, io: Io): Promise<void> {
  const [program = ''] = process.argv.slice(1)
  const given: Flags = { ...flags, listen: '127.0.0.1:0' }
  const words = SETTING_NAMES.flatMap((name) => (given[name] === undefined ? [] : [`${flagName(name)}=${given[name]}`]))
  if (config !== undefined) words.push(`--config=${config}`)
  const child = spawn(process.execPath, [...process.execArgv, program, 'up', '--detach', '--no-install', ...words], {
    stdio: ['ignore', 'ignore', 2],
    env: { ...io.env },
  })
  const [status] = (await once(child, 'exit')) as [number | null]
  if (status === 0) return
  throw new CoveError(
    'daemon-not-running',
    'Cove is not running, and could not be started to delete its sandboxes',
    {},
    { fix: 'Make `cove up` work first; then: cove down --all' },
  )
}

/** What the reader must know after the daemon has ended. */
export function keepsRunning(sandboxes: number): string {
  if (sandboxes === 0) return ''
  const them = sandboxes === 1 ? '1 sandbox keeps' : `${sandboxes} sandboxes keep`
  return ` ${them} running; the next start finds them. To delete all of them: cove down --all`
}

async function count(projects: AsyncIterable<Cove>): Promise<number> {
  let running = 0
  try {
    for await (const cove of projects) running += (await cove.sandboxes.list({ states: ['running'] }).all()).length
  } catch {
    // A daemon that does not answer is ended all the same.
  }
  return running
}

async function deleteAll(projects: AsyncIterable<Cove>, io: Io): Promise<number> {
  let deleted = 0
  for await (const cove of projects) {
    for await (const sandbox of cove.sandboxes.list({})) {
      await cove.sandboxes.delete(sandbox.id)
      deleted += 1
    }
  }
  if (deleted > 0) io.stdout.write(`Deleted ${deleted} ${deleted === 1 ? 'sandbox' : 'sandboxes'}.\n`)
  return 0
}
