import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { randomBytes } from 'node:crypto'
import { access, cp, mkdir, open, readFile } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import type { Plan } from './plan.ts'

/** What the guest reads from its config disk, as far as a stand-in has a use for it. */
export interface GuestConfig {
  readonly hostname: string
  readonly streamPort: number
  readonly controlPort: number
}

const CONFIG_BYTES = 64 * 1024
/** The first kilobyte of an ext4 file system is nobody's: the stand-in keeps there where its guest's files are. */
const MARK_BYTES = 64
const MARK = 'stand-in '
const AGENT_SOCKET = 'guest-agent'
const CONTROL_SOCKET = 'guest-control'

const SHOW_AGENT = 'mount -t tmpfs none /run && : > /run/.cove-agent && mount --bind "$1" /run/.cove-agent && exec "$@"'

/** The configuration, if this drive has one. */
export async function configOf(path: string): Promise<GuestConfig | undefined> {
  await using file = await open(path, 'r')
  const buffer = Buffer.alloc(CONFIG_BYTES)
  const { bytesRead } = await file.read(buffer, 0, CONFIG_BYTES, 0)
  const lines = buffer.toString('latin1', 0, bytesRead).split('\n')
  if (lines[0] !== 'cove-boot 1') return undefined
  const valueOf = (name: string) => lines.find((line) => line.startsWith(`${name} `))?.slice(name.length + 1)
  const portOf = (name: string) => Number(/^vsock (\d+)$/.exec(valueOf(name) ?? '')?.[1])
  return { hostname: valueOf('hostname') ?? '', streamPort: portOf('stream'), controlPort: portOf('control') }
}

/**
 * What runs in a machine that does not exist: the real agent, as a process beside the stand-in, and somebody who answers
 * to the control port. No wall is around it. All paths are below the current directory.
 */
export class StandInGuest {
  readonly #config: GuestConfig
  readonly #agent: ChildProcess
  readonly #control: Server
  readonly #controls = new Set<Socket>()
  #paused: readonly number[] = []
  /** How the agent ended, as the guest's console tells it. */
  readonly ended: Promise<string>

  private constructor(config: GuestConfig, agent: ChildProcess) {
    this.#config = config
    this.#agent = agent
    this.#control = createServer((socket) => this.#answer(socket))
    this.ended = (once(agent, 'exit') as Promise<[number | null, NodeJS.Signals | null]>).then(([code, by]) =>
      code === null ? `signaled ${signalNumber(by)}` : `exited ${code}`,
    )
  }

  static async boot(plan: Plan, config: GuestConfig, disk: string | undefined): Promise<StandInGuest> {
    const home = join(plan.homes, disk === undefined ? randomBytes(8).toString('hex') : await markOf(disk, plan.homes))
    await mkdir(home, { recursive: true, mode: 0o700 })
    const argv = [plan.agent, 'agent', '--listen', join(process.cwd(), AGENT_SOCKET), '--home', home]
    // In a real machine the agent is to be found there.
    const own = process.getuid?.() === 0 ? ['/usr/bin/unshare', '--mount', '/bin/sh', '-c', SHOW_AGENT, 'sh'] : []
    const [program = '', ...rest] = [...own, ...argv]
    const agent = spawn(program, rest, {
      cwd: home,
      env: { PATH: '/usr/local/bin:/usr/bin:/bin', LANG: 'C.UTF-8', HOME: home },
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    const guest = new StandInGuest(config, agent)
    guest.#control.listen(CONTROL_SOCKET)
    await once(guest.#control, 'listening').catch((error: unknown) => {
      guest.close()
      throw error
    })
    return guest
  }

  /** Where what listens at this port is reached; undefined while nothing does. */
  async socketOf(port: number): Promise<string | undefined> {
    const { streamPort, controlPort } = this.#config
    const path = port === streamPort ? AGENT_SOCKET : port === controlPort ? CONTROL_SOCKET : undefined
    if (path === undefined || this.#paused.length > 0) return undefined
    const there = await access(path).then(
      () => true,
      () => false,
    )
    return there ? path : undefined
  }

  async setPaused(paused: boolean): Promise<void> {
    if (!paused) {
      for (const pid of this.#paused.toReversed()) signal(pid, 'SIGCONT')
      this.#paused = []
      return
    }
    // The agent first: it starts nothing new meanwhile.
    let known: readonly number[] = []
    for (;;) {
      const now = await treeOf(this.#agent.pid ?? 0)
      const fresh = now.filter((pid) => !known.includes(pid))
      if (fresh.length === 0) break
      for (const pid of fresh) signal(pid, 'SIGSTOP')
      known = [...known, ...fresh]
    }
    this.#paused = known
  }

  #answer(socket: Socket): void {
    this.#controls.add(socket)
    socket.on('close', () => this.#controls.delete(socket))
    socket.on('error', () => socket.destroy())
    socket.write('ready\n')
    let got = ''
    socket.on('data', (chunk) => {
      got += chunk.toString('latin1')
      const lines = got.split('\n')
      got = lines.pop() ?? ''
      for (const line of lines) {
        process.stdout.write(`stand-in: control ${line}\n`)
        if (line === 'stop') this.#agent.kill('SIGTERM')
        const known = line === 'stop' || /^identity (?:-|[0-9a-f:]{17}) \d+ [0-9a-f]{64}$/.test(line)
        socket.write(known ? 'ok\n' : 'error that is no request\n')
      }
    })
  }

  close(): void {
    this.#agent.kill('SIGKILL')
    for (const socket of this.#controls) socket.destroy()
    this.#control.close()
  }
}

/** The files of a copied disk are copied, too: from then on they are its own. */
export async function separateDisk(disk: string, homes: string): Promise<void> {
  const before = await readMark(disk)
  if (before === undefined) return
  const after = await writeMark(disk)
  await cp(join(homes, before), join(homes, after), { recursive: true, preserveTimestamps: true })
}

async function markOf(disk: string, homes: string): Promise<string> {
  const mark = await readMark(disk)
  await mkdir(homes, { recursive: true })
  return mark ?? writeMark(disk)
}

async function readMark(disk: string): Promise<string | undefined> {
  await using file = await open(disk, 'r')
  const buffer = Buffer.alloc(MARK_BYTES)
  await file.read(buffer, 0, MARK_BYTES, 0)
  return /^stand-in ([0-9a-f]{16})\n/.exec(buffer.toString('latin1'))?.[1]
}

async function writeMark(disk: string): Promise<string> {
  await using file = await open(disk, 'r+')
  const mark = randomBytes(8).toString('hex')
  await file.write(`${MARK}${mark}\n`, 0)
  return mark
}

async function treeOf(pid: number): Promise<readonly number[]> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '')
  const pids = children.trim().split(' ').filter(Boolean).map(Number)
  const below = await Promise.all(pids.map(treeOf))
  return [pid, ...below.flat()]
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // It has ended by itself.
  }
}

function signalNumber(name: NodeJS.Signals | null): number {
  return name === 'SIGKILL' ? 9 : name === 'SIGTERM' ? 15 : 1
}
