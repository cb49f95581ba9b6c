import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const MAIN = join(import.meta.dirname, '../../packages/cli/bin/cove.mjs')

/** A daemon of its own in a process of its own, on a free port and a fresh data directory. */
export interface Daemon extends AsyncDisposable {
  readonly url: string
  readonly apiKey: string
  readonly dataDir: string
  readonly pid: number
  /** Whose machines are its own. */
  installation(): Promise<string>
  /** Ends it as a crash would, and waits for its death. */
  kill(): Promise<void>
  /** Milliseconds from the start of the process to ready. */
  restart(): Promise<number>
}

export async function startDaemon(flags: readonly string[] = [], env: NodeJS.ProcessEnv = {}): Promise<Daemon> {
  const dataDir = await mkdtemp(join(tmpdir(), 'cove-bench-'))
  let child = await launch(dataDir, flags, env)
  const kill = async () => {
    if (child.process.exitCode !== null || child.process.signalCode !== null) return
    child.process.kill('SIGKILL')
    await once(child.process, 'exit')
  }
  return {
    get url() {
      return child.url
    },
    get pid() {
      return child.process.pid ?? 0
    },
    apiKey: (await readFile(join(dataDir, 'api-key'), 'utf8')).trim(),
    dataDir,
    installation: async () => (await readFile(join(dataDir, 'installation'), 'utf8')).trim(),
    kill,
    async restart() {
      await kill()
      child = await launch(dataDir, flags, env)
      return child.readyMs
    },
    async [Symbol.asyncDispose]() {
      await runCove(['down', '--all', '--data-dir', dataDir], env)
      await kill()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

async function launch(dataDir: string, flags: readonly string[], env: NodeJS.ProcessEnv) {
  const started = performance.now()
  const process_ = spawn(
    process.execPath,
    [
      '--disable-warning=ExperimentalWarning',
      MAIN,
      'up',
      '--data-dir',
      dataDir,
      '--listen',
      '127.0.0.1:0',
      '--max-sandboxes',
      '100000',
      '--log-level',
      'warn',
      // One driver, whatever else is installed; a benchmark of another one names it.
      ...(flags.includes('--drivers') ? [] : ['--drivers', 'bubblewrap']),
      ...flags,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, ...env } },
  )
  for await (const line of createInterface({ input: process_.stdout })) {
    const url = /http:\/\/[0-9.:]+/.exec(line)?.[0]
    if (url === undefined) continue
    process_.stdout.resume()
    return { process: process_, url, readyMs: performance.now() - started }
  }
  throw new Error('the daemon ended before it was ready')
}

async function runCove(args: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', MAIN, ...args], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, ...env },
  })
  await once(child, 'exit')
}
