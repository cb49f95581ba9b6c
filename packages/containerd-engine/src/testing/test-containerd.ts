import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { setTimeout as delay } from 'node:timers/promises'
import { Containerd } from '../containerd.ts'

const run = promisify(execFile)
const CONTAINERD = '/usr/bin/containerd'
const START_MS = 30_000
const LOOK_MS = 20
const END_MS = 20_000

/** Not needed for containers by themselves. */
const DISABLED = [
  'io.containerd.grpc.v1.cri',
  'io.containerd.snapshotter.v1.aufs',
  'io.containerd.snapshotter.v1.btrfs',
  'io.containerd.snapshotter.v1.devmapper',
  'io.containerd.snapshotter.v1.zfs',
  'io.containerd.tracing.processor.v1.otlp',
  'io.containerd.internal.v1.tracing',
  'io.containerd.internal.v1.opt',
]

/** Why no containerd of its own can be started here; undefined when one can. */
export function missingForContainerd(): string | undefined {
  if (process.getuid?.() !== 0) return 'containerd needs root'
  if (!existsSync(CONTAINERD)) return 'containerd is not installed (package containerd)'
  if (!existsSync('/usr/sbin/runc') && !existsSync('/usr/bin/runc')) return 'runc is not installed (package runc)'
  return undefined
}

/** A real containerd with folders and a socket of its own; whatever it has started goes with it. */
export class TestContainerd implements AsyncDisposable {
  readonly folder: string
  readonly socket: string
  #child: ChildProcess

  private constructor(folder: string) {
    this.folder = folder
    this.socket = join(folder, 'c.sock')
    this.#child = launch(folder)
  }

  static async start(): Promise<TestContainerd> {
    const folder = mkdtempSync(join(tmpdir(), 'cove-test-'))
    writeFileSync(join(folder, 'config.toml'), configOf(folder))
    const daemon = new TestContainerd(folder)
    try {
      await daemon.#untilReady()
      return daemon
    } catch (error) {
      const text = readFileSync(join(folder, 'log'), 'utf8').slice(-4_000)
      await daemon[Symbol.asyncDispose]()
      throw new Error(`containerd did not start:\n${text}`, { cause: error })
    }
  }

  open(namespace: string): Containerd {
    return new Containerd({ address: this.socket, namespace })
  }

  /** Ends containerd alone, without a word; its shims go on. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await ended
  }

  /** Starts it again over what is left. */
  async restart(): Promise<void> {
    await this.kill()
    this.#child = launch(this.folder)
    await this.#untilReady()
  }

  /** Of containerd itself. */
  get pid(): number {
    return this.#child.pid ?? 0
  }

  /** Shims of its containers. */
  shims(): readonly number[] {
    const found: number[] = []
    for (const name of readdirSync('/proc')) {
      if (!/^\d+$/.test(name)) continue
      const words = readText(`/proc/${name}/cmdline`).split('\0')
      if (words[0]?.includes('containerd-shim') === true && words.includes(this.socket)) found.push(Number(name))
    }
    return found
  }

  mounts(): readonly string[] {
    return readText('/proc/self/mountinfo')
      .split('\n')
      .map((line) => line.split(' ')[4] ?? '')
      .filter((target) => target.startsWith(`${this.folder}/`))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
    // Each shim with its container: they belong to this containerd alone, which its socket in their words says.
    // Again until there is none: one that is just being started, and runc, which works for one, name the folder too.
    for (const deadline = performance.now() + END_MS; ;) {
      const left = this.#left()
      if (left.length === 0) break
      if (performance.now() > deadline) throw new Error(`processes of a containerd cannot be ended: ${left.join(', ')}`)
      for (const pid of left) {
        for (const child of childrenOf(pid)) end(child)
        // Where a shim listens is beside nothing of ours, and stays when it is killed.
        const socket = readText(`/proc/${pid}/cwd/address`)
          .replace(/^unix:\/\//, '')
          .trim()
        end(pid)
        if (socket !== '') rmSync(socket, { force: true })
      }
      await delay(LOOK_MS)
    }
    for (const target of this.mounts().toReversed()) await run('umount', ['--lazy', target]).catch(() => undefined)
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
  }

  /** What runs with a path in the folder among its words. */
  #left(): readonly number[] {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name) && readText(`/proc/${name}/cmdline`).includes(`${this.folder}/`))
      .map(Number)
      .filter((pid) => pid !== process.pid)
  }

  async #untilReady(): Promise<void> {
    const deadline = performance.now() + START_MS
    for (;;) {
      if (this.#child.exitCode !== null) throw new Error('containerd ended')
      try {
        using containerd = this.open('ready')
        if ((await containerd.version()) !== '') return
      } catch (error) {
        if (performance.now() > deadline) throw error
      }
      await delay(LOOK_MS)
    }
  }
}

function launch(folder: string): ChildProcess {
  const log = openSync(join(folder, 'log'), 'a', 0o600)
  const child = spawn(CONTAINERD, ['--config', join(folder, 'config.toml')], {
    stdio: ['ignore', log, log],
    detached: true,
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
  })
  closeSync(log)
  return child
}

function configOf(folder: string): string {
  return [
    'version = 2',
    `root = ${JSON.stringify(join(folder, 'root'))}`,
    `state = ${JSON.stringify(join(folder, 'state'))}`,
    `disabled_plugins = ${JSON.stringify(DISABLED)}`,
    'oom_score = 0',
    '[grpc]',
    `  address = ${JSON.stringify(join(folder, 'c.sock'))}`,
    '[ttrpc]',
    `  address = ${JSON.stringify(join(folder, 't.sock'))}`,
    // As it is by default, but soon: what is not held must be seen to go.
    '[plugins."io.containerd.gc.v1.scheduler"]',
    '  mutation_threshold = 1',
    '  schedule_delay = "0ms"',
    '  startup_delay = "10ms"',
    '',
  ].join('\n')
}

function childrenOf(pid: number): readonly number[] {
  return readText(`/proc/${pid}/task/${pid}/children`).trim().split(' ').filter(Boolean).map(Number)
}

function end(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // Gone already.
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
