import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Cove } from '@cove/sdk'

const ROOT = join(import.meta.dirname, '../..')
export const MAIN = join(ROOT, 'packages/cli/bin/cove.mjs')

export interface Ended {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

interface DaemonOptions {
  /** The daemon runs as this ordinary user. */
  readonly uid?: number
  /** For it and for the commands that are run against it; of the tests' own it has no settings. */
  readonly env?: NodeJS.ProcessEnv
  /** Its data is kept in that folder. */
  readonly below?: string
}

/** A real daemon in a process and a data directory of its own, as a user has it. */
export class TestDaemon implements AsyncDisposable {
  readonly dataDir: string
  readonly #flags: readonly string[]
  readonly #uid: number | undefined
  readonly #env: NodeJS.ProcessEnv
  #child: ChildProcess | undefined
  #output = ''
  url = ''

  private constructor(flags: readonly string[], { uid, env = {}, below = tmpdir() }: DaemonOptions) {
    this.dataDir = mkdtempSync(join(below, 'cove-test-'))
    this.#flags = flags
    this.#uid = uid
    this.#env = env
    if (uid !== undefined) {
      chownSync(this.dataDir, uid, uid)
      chmodSync(this.dataDir, 0o700)
    }
  }

  static async start(flags: readonly string[] = [], options: DaemonOptions = {}): Promise<TestDaemon> {
    const daemon = new TestDaemon(flags, options)
    try {
      await daemon.start()
      return daemon
    } catch (error) {
      rmSync(daemon.dataDir, { recursive: true, force: true })
      throw error
    }
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  /** Everything that the daemon has printed since its last start. */
  get output(): string {
    return this.#output
  }

  get apiKey(): string {
    return readFileSync(join(this.dataDir, 'api-key'), 'utf8').trim()
  }

  client(): Cove {
    return new Cove({ url: this.url, apiKey: this.apiKey })
  }

  /** With more flags than at the first start, for example the address that it had. */
  async start(more: readonly string[] = []): Promise<void> {
    const args = ['up', '--data-dir', this.dataDir, '--listen', '127.0.0.1:0', ...this.#flags, ...more]
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', MAIN, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...cleanEnvironment(), ...this.#env },
      ...(this.#uid === undefined ? {} : { uid: this.#uid, gid: this.#uid }),
    })
    this.#child = child
    this.#output = ''
    this.url = await new Promise<string>((resolve, reject) => {
      const look = (chunk: Buffer) => {
        this.#output += chunk.toString('utf8')
        const url = /API\s+(http:\S+)/.exec(this.#output)?.[1]
        if (url !== undefined && this.#output.includes('Try it')) resolve(url)
      }
      child.stdout.on('data', look)
      child.stderr.on('data', look)
      child.once('exit', () => reject(new Error(`the daemon ended before it was ready:\n${this.#output}`)))
    })
  }

  /** Sends the signal and waits for the end. */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null
    const exited = once(child, 'close')
    child.kill(signal)
    await exited
    return child.exitCode
  }

  /** Runs a command of `cove` against this daemon. */
  cove(
    args: readonly string[],
    options: { readonly input?: string | Uint8Array; readonly env?: NodeJS.ProcessEnv } = {},
  ): Promise<Ended> {
    return runCove(args, {
      ...options,
      env: { ...this.#env, COVE_DATA_DIR: this.dataDir, ...options.env },
      ...(this.#uid === undefined ? {} : { uid: this.#uid }),
    })
  }

  /** Deletes every sandbox and ends the daemon and its launcher; fails when something stays. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child?.exitCode !== null || this.#child.signalCode !== null) await this.start()
    const { status, stderr } = await this.cove(['down', '--all'])
    await this.end('SIGKILL')
    rmSync(this.dataDir, { recursive: true, force: true })
    if (status !== 0) throw new Error(`cove down --all failed: ${stderr}`)
  }
}

interface RunOptions {
  readonly input?: string | Uint8Array
  readonly env?: NodeJS.ProcessEnv
  readonly uid?: number
  readonly cwd?: string
}

export async function runCove(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', MAIN, ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...cleanEnvironment(), ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
  })
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk))
  child.stdin.on('error', () => {})
  child.stdin.end(options.input ?? '')
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
  return {
    status: code ?? (signal === null ? 255 : 128),
    stdout: Buffer.concat(stdout).toString('utf8'),
    stderr: Buffer.concat(stderr).toString('utf8'),
  }
}

/** Without the settings of whoever runs the tests. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('COVE_') && !name.startsWith('DOCKER_'))
  // One driver, so that a story does not depend on what else is installed, nor wait for its proof.
  return { ...Object.fromEntries(own), COVE_DRIVERS: 'bubblewrap' }
}
