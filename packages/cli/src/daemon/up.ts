import { CoveError, type Log } from '@cove/domain'
import { systemRandom } from '@cove/domain/system'
import { loadConfig } from '../config/load.ts'
import { defaultDataDir } from '../config/settings.ts'
import type { Io } from '../io.ts'
import { IN_CHECKOUT } from '../package-root.ts'
import { clientConfig } from '../mcp/client-config.ts'
import { ensureGuestProgram } from '../setup/guest-program.ts'
import { findProgram } from '../setup/find-program.ts'
import { ensureBubblewrap } from '../setup/isolation-tool.ts'
import { ensureNetworkTools, missingNetworkTools } from '../setup/network-tools.ts'
import { VERSION } from '../version.ts'
import { banner } from './banner.ts'
import { bootId, processStartTime, readLivingDaemon, removeDaemonRecord, writeDaemonRecord } from './daemon-file.ts'
import { openDataDir, type DataDir } from './data-dir.ts'
import { detach } from './detach.ts'
import { keepsRunning } from './down.ts'
import { openLogFile } from './log-file.ts'
import { openLog } from './open-log.ts'
import type { UpArgs } from './up-args.ts'

/** `cove up`: sets the machine up, starts the daemon, and stays until SIGINT or SIGTERM. */
export async function up(args: UpArgs, io: Io): Promise<number> {
  const { settings } = await loadConfig({ env: io.env, flags: args.flags, file: args.config })
  const guestProgram = await ensureGuestProgram(args.install, io)
  await prepareTools(args, io)

  const dataDir = await openDataDir(settings.dataDir, systemRandom)
  await refuseSecond(dataDir)
  if (args.detach) return detach(dataDir, io)

  // What a detached daemon says goes to its file, which is bounded; only what crashes it still goes to stderr.
  const detached = process.send !== undefined
  const logFiles = [settings.logFile, detached ? dataDir.daemonLog : undefined].filter((path) => path !== undefined)
  const log = openLog({
    level: settings.logLevel,
    files: logFiles.map((path) => openLogFile(path)),
    stderr: detached ? undefined : io.stderr,
  })
  // Before the first thing is opened: a signal during the start must end it cleanly too.
  const ending = listenForEnd(io)
  const { composeDaemon } = await import('./compose.ts')
  const daemon = await composeDaemon(settings, dataDir, guestProgram, log, io.env)
  try {
    await writeDaemonRecord(dataDir.daemonFile, {
      url: daemon.url,
      pid: process.pid,
      startTime: processStartTime(process.pid) ?? 0,
      bootId: bootId(),
      version: VERSION,
    })
    const drivers = await daemon.node.provenSoFar()
    const running = (await daemon.node.list()).filter(({ state }) => state === 'running').length
    const text = banner({
      version: VERSION,
      url: daemon.url,
      keyFile: dataDir.keyFile,
      readyMs: performance.now(),
      drivers,
      adopted: running,
      program: programName(io),
      mcp: clientConfig({ env: io.env, dataDir: dataDir.path, usualDataDir: defaultDataDir(io.env) }),
    })
    io.stdout.write(text)
    log.info('ready', { url: daemon.url, version: VERSION, ready_ms: Math.round(performance.now()), running })
    tellParent(text)
    await ending
    io.stderr.write('\nStopping ...\n')
  } finally {
    await close(daemon, dataDir, settings.shutdownGrace, log, io)
  }
  return 0
}

/** What is missing is no reason not to start: whoever needs it is told. */
async function prepareTools({ install }: UpArgs, io: Io): Promise<void> {
  const isFirst = (await findProgram('bwrap', io.env['PATH'])) === undefined
  const bubblewrap = await ensureBubblewrap(install, io)
  // Only recommended: asked for when a machine is set up, and not at each start.
  const network = isFirst || install === 'yes' ? await ensureNetworkTools(install, io) : undefined
  for (const problem of [bubblewrap, network]) {
    if (problem !== undefined) io.stderr.write(`warning: ${problem.message}\nfix: ${problem.fix}\n`)
  }
  const missing = network === undefined ? await missingNetworkTools(io) : []
  if (missing.length === 0) return
  io.stderr.write(`note: sandboxes can have no network until ${missing.join(' and ')} is here: run \`cove setup\`\n`)
}

async function close(
  daemon: Awaited<ReturnType<typeof import('./compose.ts').composeDaemon>>,
  dataDir: DataDir,
  graceMs: number,
  log: Log,
  io: Io,
): Promise<void> {
  const running = (await daemon.node.list()).filter(({ state }) => state === 'running').length
  await daemon.close(graceMs)
  await removeDaemonRecord(dataDir.daemonFile, process.pid)
  log.info('stopped', { running })
  io.stdout.write(`Cove has stopped.${keepsRunning(running)}\n`)
}

/** Resolves at the first SIGINT or SIGTERM; the second one ends at once, which loses nothing either. */
function listenForEnd(io: Io): Promise<void> {
  return new Promise((resolve) => {
    let asked = false
    const end = () => {
      if (asked) {
        io.stderr.write('Ended at once; nothing is lost.\n')
        process.exit(1)
      }
      asked = true
      resolve()
    }
    process.on('SIGINT', end)
    process.on('SIGTERM', end)
    process.on('SIGHUP', end)
  })
}

async function refuseSecond(dataDir: DataDir): Promise<void> {
  const running = await readLivingDaemon(dataDir.daemonFile)
  if (running === undefined) return
  throw new CoveError('already-running', `Cove runs already: ${running.url} (pid ${running.pid})`, { url: running.url })
}

/** A detached daemon tells the command that started it what to print, and is then on its own. */
function tellParent(text: string): void {
  if (process.send === undefined) return
  process.send({ ready: text }, undefined, {}, () => process.disconnect())
}

function programName(io: Io): string {
  if (IN_CHECKOUT) return './cove'
  return io.env['npm_command'] === 'exec' ? 'npx cove' : 'cove'
}
