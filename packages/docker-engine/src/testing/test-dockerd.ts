import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  closeSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { setTimeout as delay } from 'node:timers/promises'
import { openDockerEngine, type DockerEngine } from '../docker-engine.ts'
import { endProcessesOf, removeCgroupsOf } from './end-processes-of.ts'

const run = promisify(execFile)
const DOCKERD = '/usr/sbin/dockerd'
const BUSYBOX = '/bin/busybox'
const PROGRAMS = [
  'sh',
  'cat',
  'echo',
  'sleep',
  'env',
  'id',
  'pwd',
  'ls',
  'which',
  'seq',
  'head',
  'dd',
  'nc',
  'ps',
  'kill',
  'stty',
  'tty',
  'wc',
  'tr',
  'grep',
  'chmod',
  'setsid',
  'test',
  'true',
  'false',
  'mkdir',
  'rm',
  'yes',
  'httpd',
]
const START_MS = 30_000
const LOOK_MS = 50

/** Why no engine of its own can be started here; undefined when one can. */
export function missingForDockerd(): string | undefined {
  if (process.getuid?.() !== 0) return 'dockerd needs root'
  if (!existsSync(DOCKERD)) return 'dockerd is not installed (package docker.io)'
  if (!existsSync(BUSYBOX)) return 'busybox is not installed (package busybox-static)'
  return undefined
}

/**
 * A real Docker Engine with folders and a socket of its own and without a bridge: containers have the network `none`
 * or `host`. It knows one image, `cove-test/box:1`, with a shell.
 */
export class TestDockerd implements AsyncDisposable {
  static readonly image = 'cove-test/box:1'
  readonly folder: string
  readonly socket: string
  readonly #flags: readonly string[]
  #child: ChildProcess

  private constructor(folder: string, flags: readonly string[], child: ChildProcess) {
    this.folder = folder
    this.#flags = flags
    this.socket = join(folder, 'docker.sock')
    this.#child = child
  }

  static async start(flags: readonly string[] = []): Promise<TestDockerd> {
    const folder = mkdtempSync(join(tmpdir(), 'cove-test-'))
    const child = launch(folder, flags)
    const daemon = new TestDockerd(folder, flags, child)
    try {
      await daemon.#untilReady()
      await daemon.#makeImage()
      return daemon
    } catch (error) {
      const text = readFileSync(join(folder, 'log'), 'utf8').slice(-4_000)
      await daemon[Symbol.asyncDispose]()
      throw new Error(`dockerd did not start:\n${text}`, { cause: error })
    }
  }

  get #hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null
  }

  /** Ends the daemon, and nothing else. */
  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const ended = once(this.#child, 'exit')
    this.#child.kill(signal)
    await ended
  }

  /** Once it has ended. */
  async startAgain(): Promise<void> {
    // Its containerd ends with it; as long as nobody has reaped that, it looks alive to the next daemon.
    rmSync(join(this.folder, 'exec/containerd/containerd.pid'), { force: true })
    this.#child = launch(this.folder, this.#flags)
    await this.#untilReady()
  }

  open(): Promise<DockerEngine> {
    return openDockerEngine({ kind: 'unix', path: this.socket })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Containers can outlive it, and nobody else ends them.
    if (this.#hasEnded) await this.startAgain().catch(() => undefined)
    if (!this.#hasEnded) {
      await this.#removeAll().catch(() => undefined)
      const ended = once(this.#child, 'exit')
      this.#child.kill('SIGTERM')
      await Promise.race([ended, delay(20_000, undefined, { ref: false })])
      if (!this.#hasEnded) {
        this.#child.kill('SIGKILL')
        await ended
      }
    }
    // One that was killed while it started or removed a container knows nothing of that afterwards.
    await endProcessesOf(this.folder)
    removeCgroupsOf(this.#containers())
    await this.#unmountAll()
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
  }

  async #untilReady(): Promise<void> {
    const deadline = performance.now() + START_MS
    for (;;) {
      if (this.#hasEnded) throw new Error('dockerd ended')
      try {
        using engine = await this.open()
        if (engine.version !== '') return
      } catch (error) {
        if (performance.now() > deadline) throw error
      }
      await delay(LOOK_MS)
    }
  }

  #containers(): readonly string[] {
    const folder = join(this.folder, 'data/containers')
    const shims = join(this.folder, 'exec/containerd/daemon/io.containerd.runtime.v2.task/moby')
    return [folder, shims].flatMap((place) => (existsSync(place) ? readdirSync(place) : []))
  }

  async #removeAll(): Promise<void> {
    using engine = await this.open()
    for (const { id } of await engine.listContainers({})) await engine.removeContainer(id)
  }

  /** It leaves the mount of a network namespace behind when a container has used its machine's. */
  async #unmountAll(): Promise<void> {
    const targets = readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .map((line) => line.split(' ')[4] ?? '')
      .filter((target) => target.startsWith(`${this.folder}/`))
    for (const target of targets.toReversed()) await run('umount', [target])
  }

  async #makeImage(): Promise<void> {
    const root = join(this.folder, 'root')
    for (const name of ['bin', 'tmp', 'etc', 'root', 'proc', 'sys', 'dev'])
      mkdirSync(join(root, name), { recursive: true })
    copyFileSync(BUSYBOX, join(root, 'bin/busybox'))
    for (const name of PROGRAMS) symlinkSync('busybox', join(root, 'bin', name))
    const { stdout } = await run('tar', ['-C', root, '-c', '.'], { encoding: 'buffer', maxBuffer: 64 * 1024 * 1024 })
    using engine = await this.open()
    await engine.importImage(TestDockerd.image, stdout, ['CMD ["/bin/sh"]', 'ENV PATH=/bin', 'ENV FROM_IMAGE=yes'])
  }
}

function launch(folder: string, flags: readonly string[]): ChildProcess {
  const log = openSync(join(folder, 'log'), 'a', 0o600)
  const child = spawn(
    DOCKERD,
    [
      `--data-root=${join(folder, 'data')}`,
      `--exec-root=${join(folder, 'exec')}`,
      `--pidfile=${join(folder, 'pid')}`,
      `--host=unix://${join(folder, 'docker.sock')}`,
      '--storage-driver=vfs',
      '--bridge=none',
      '--iptables=false',
      '--ip-forward=false',
      ...flags,
    ],
    { stdio: ['ignore', log, log], detached: true },
  )
  closeSync(log)
  return child
}
