import { CoveError, type Clock, type Exit, type ProcessId, type ProcessInfo, type TerminalSize } from '@cove/domain'
import { STREAM, type StreamNumber } from '@cove/frames'
import type { FakeFiles, FakeUser } from './fake-files.ts'
import { OutputRing } from './output-ring.ts'

const SIGKILL = 9
const SIGTERM = 15
const SIGWINCH = 28
const NEWLINE = Buffer.from('\n')

/** What a simulated program sees. It returns its exit code, or is ended by a signal. */
export interface ProgramContext {
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
  readonly user: FakeUser
  readonly pid: number
  readonly clock: Clock
  readonly files: FakeFiles
  /** Aborts when the process is killed. Programs end by themselves soon after; what they return does not matter. */
  readonly killed: AbortSignal
  readonly terminalSize: () => TerminalSize | undefined
  /** The next bytes of stdin; undefined at its end. */
  readonly read: () => Promise<Buffer | undefined>
  readonly write: (to: 'stdout' | 'stderr', bytes: Uint8Array | string) => Promise<void>
  /** From now on this signal does nothing. */
  readonly ignore: (signal: number) => void
  /** Sends a signal to this process itself. */
  readonly raise: (signal: number) => void
}
export type Program = (context: ProgramContext) => Promise<number>

export interface FakeProcessOptions {
  readonly id: ProcessId
  readonly pid: number
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
  readonly user: FakeUser
  readonly terminal: TerminalSize | undefined
  readonly stdin: boolean
  readonly timeoutMs: number
  readonly graceMs: number
  readonly clock: Clock
  readonly files: FakeFiles
}

/** One simulated process: a program, its output ring, its stdin. */
export class FakeProcess {
  readonly ring = new OutputRing()
  readonly ended: Promise<void>
  exit: Exit | undefined
  timedOut = false
  readonly #options: FakeProcessOptions
  readonly #startedAt: number
  readonly #kill = new AbortController()
  readonly #ignored = new Set<number>()
  readonly #input: Buffer[] = []
  #inputEnded: boolean
  #inputWaiter: (() => void) | undefined
  #killedBy: number | undefined
  #size: TerminalSize | undefined

  constructor(options: FakeProcessOptions, program: Program) {
    this.#options = options
    this.#startedAt = options.clock.now()
    this.#inputEnded = !options.stdin && options.terminal === undefined
    this.#size = options.terminal
    this.ended = this.#run(program)
    if (options.timeoutMs > 0) void this.#limit(options.timeoutMs, options.graceMs)
  }

  info(): ProcessInfo {
    const { id, pid, argv, cwd, user, terminal } = this.#options
    return {
      id,
      pid,
      argv,
      cwd,
      user: user.name,
      terminal: terminal !== undefined,
      startedAt: this.#startedAt,
      outputFrom: this.ring.from,
      outputTo: this.ring.to,
      ...(this.exit === undefined ? {} : { exit: this.exit }),
      timedOut: this.timedOut,
    }
  }

  signal(number: number): void {
    if (this.exit !== undefined) throw new CoveError('process-not-found', 'the process has ended')
    if (number === SIGWINCH || (number !== SIGKILL && this.#ignored.has(number))) return
    this.#killedBy ??= number
    this.#kill.abort()
    this.#inputWaiter?.()
  }

  resize(size: TerminalSize): void {
    if (this.#size === undefined) throw new CoveError('invalid-argument', 'the process has no terminal')
    this.#size = size
  }

  /** Takes bytes for stdin; a terminal echoes them. */
  async feed(bytes: Buffer): Promise<void> {
    if (this.#inputEnded || this.exit !== undefined) throw new CoveError('wrong-state', 'stdin is closed')
    this.#input.push(bytes)
    this.#inputWaiter?.()
    if (this.#size !== undefined) await this.#output('stdout', bytes)
  }

  closeInput(): void {
    this.#inputEnded = true
    this.#inputWaiter?.()
  }

  async #run(program: Program): Promise<void> {
    const { argv, env, cwd, user, pid, clock, files } = this.#options
    const killed = new Promise<number>((resolve) => {
      this.#kill.signal.addEventListener('abort', () => resolve(0), { once: true })
    })
    const running = program({
      argv,
      env,
      cwd,
      user,
      pid,
      clock,
      files,
      killed: this.#kill.signal,
      terminalSize: () => this.#size,
      read: () => this.#read(),
      write: (to, bytes) => this.#output(to, bytes),
      ignore: (signal) => this.#ignored.add(signal),
      raise: (signal) => this.signal(signal),
    })
    let code = 1
    try {
      code = await Promise.race([running, killed])
    } catch (error) {
      await this.#output('stderr', `${error instanceof Error ? error.message : String(error)}\n`)
    }
    this.exit = this.#killedBy === undefined ? { kind: 'exited', code } : { kind: 'signaled', signal: this.#killedBy }
    this.#kill.abort()
    this.ring.end()
  }

  async #limit(timeoutMs: number, graceMs: number): Promise<void> {
    const { clock } = this.#options
    try {
      await clock.sleep(timeoutMs, this.#kill.signal)
      this.timedOut = true
      this.signal(SIGTERM)
      await clock.sleep(graceMs, this.#kill.signal)
      this.signal(SIGKILL)
    } catch {
      // It has ended by itself.
    }
  }

  async #read(): Promise<Buffer | undefined> {
    for (;;) {
      const bytes = this.#input.shift()
      if (bytes !== undefined) return bytes
      if (this.#inputEnded || this.#kill.signal.aborted) return undefined
      await new Promise<void>((resolve) => {
        this.#inputWaiter = resolve
      })
    }
  }

  async #output(to: 'stdout' | 'stderr', bytes: Uint8Array | string): Promise<void> {
    const plain = typeof bytes === 'string' ? Buffer.from(bytes) : bytes
    const terminal = this.#options.terminal !== undefined
    const stream: StreamNumber = terminal ? STREAM.terminal : STREAM[to]
    await this.ring.write(stream, terminal ? asTerminal(plain) : plain, this.#kill.signal)
  }
}

// A terminal writes carriage return and line feed for every line feed.
function asTerminal(bytes: Uint8Array): Buffer {
  const text = Buffer.from(bytes).toString('latin1')
  return text.includes(NEWLINE.toString()) ? Buffer.from(text.replaceAll('\n', '\r\n'), 'latin1') : Buffer.from(bytes)
}
