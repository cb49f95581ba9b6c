import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { CoveError } from '@cove/domain'
import { loadConfig } from '../config/load.ts'
import { findTarget } from '../contexts/target.ts'
import { daemonFilePath } from '../daemon/data-dir.ts'
import { readLivingDaemon } from '../daemon/daemon-file.ts'
import type { Io } from '../io.ts'
import type { Where } from '../options/global-options.ts'
import type { Endpoint } from './http-post.ts'

/** Milliseconds that another command which is starting the daemon gets to finish. */
const OTHER_START_MS = 15_000
const LOOK_EVERY_MS = 100

/**
 * The door that `--url`, a context or the environment names, else that of the local daemon. When `start` is given and
 * no local daemon runs, it is called first.
 */
export async function findEndpoint(where: Where, { env }: Io, start?: () => Promise<void>): Promise<Endpoint> {
  const target = await findTarget(where, env)
  const project = target.project === undefined ? {} : { project: target.project }
  const named = target.url ?? set(env['COVE_URL'])
  const ownKey = target.apiKey ?? set(env['COVE_API_KEY'])
  if (named !== undefined) {
    checkUrl(named)
    // The local key is for the local Cove only.
    const apiKey = ownKey ?? (isLoopback(named) ? await readKey(await dataDirOf(env)) : undefined)
    return { url: named, apiKey, ...project }
  }
  const dataDir = await dataDirOf(env)
  let daemon = await readLivingDaemon(daemonFilePath(dataDir))
  if (daemon === undefined && start !== undefined) {
    await start()
    daemon = await readLivingDaemon(daemonFilePath(dataDir))
  }
  if (daemon === undefined) throw new CoveError('daemon-not-running', 'Cove is not running')
  return { url: daemon.url, apiKey: ownKey ?? (await readKey(dataDir)), ...project }
}

/** `cove up --detach`, with what it prints on stderr; stdout belongs to the protocol. */
export async function startDaemon({ env }: Io): Promise<void> {
  const dataDir = await dataDirOf(env)
  const [program = ''] = process.argv.slice(1)
  const child = spawn(process.execPath, [...process.execArgv, program, 'up', '--detach'], {
    stdio: ['ignore', 2, 2],
    env: { ...env },
  })
  const [status] = (await once(child, 'exit')) as [number | null]
  if (status === 0) return
  // Another one may be starting it at the same moment, as when a client opens several of these.
  for (let waited = 0; waited < OTHER_START_MS; waited += LOOK_EVERY_MS) {
    if ((await readLivingDaemon(daemonFilePath(dataDir))) !== undefined) return
    await sleep(LOOK_EVERY_MS)
  }
  throw new CoveError(
    'daemon-not-running',
    'Cove could not be started',
    {},
    { fix: 'Run `cove up` in a terminal; it says what is wrong.' },
  )
}

/** The one that `cove up` would use: the configuration file may name it too. */
async function dataDirOf(env: Io['env']): Promise<string> {
  return set(env['COVE_DATA_DIR']) ?? (await loadConfig({ env, flags: {} })).settings.dataDir
}

async function readKey(dataDir: string): Promise<string | undefined> {
  try {
    return set((await readFile(join(dataDir, 'api-key'), 'utf8')).trim())
  } catch {
    return undefined
  }
}

const set = (value: string | undefined): string | undefined => (value === '' ? undefined : value)

function checkUrl(text: string): void {
  const protocol = URL.canParse(text) ? new URL(text).protocol : undefined
  if (protocol === 'http:' || protocol === 'https:') return
  throw new CoveError(
    'invalid-argument',
    `${JSON.stringify(text.slice(0, 200))} is not an HTTP URL`,
    { field: 'url' },
    { fix: 'Use an address such as http://127.0.0.1:8080.' },
  )
}

function isLoopback(url: string): boolean {
  const host = URL.canParse(url) ? new URL(url).hostname : ''
  return host === 'localhost' || host === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(host)
}
