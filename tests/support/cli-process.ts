import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { MAIN, type Ended } from './daemon.ts'

/** A `cove` that runs: its output can be waited for, and signals sent to it. */
export class CliProcess implements Disposable {
  readonly #child: ChildProcess
  readonly #ended: Promise<Ended>
  #stdout = ''
  #stderr = ''
  #changed = Promise.withResolvers<void>()

  /** With `terminal`, inside a terminal of 80 by 24 that util-linux's `script` makes; its output is all in stdout. */
  constructor(
    args: readonly string[],
    env: NodeJS.ProcessEnv,
    options: { readonly terminal?: boolean; readonly cwd?: string } = {},
  ) {
    const words = [process.execPath, '--disable-warning=ExperimentalWarning', MAIN, ...args]
    const quoted = words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ')
    const [program = '', ...rest] = options.terminal === true ? ['script', '-qefc', quoted, '/dev/null'] : words
    this.#child = spawn(program, rest, {
      env: { ...process.env, TERM: 'xterm', ...env },
      stdio: 'pipe',
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    })
    this.#child.stdout?.on('data', (chunk: Buffer) => {
      this.#stdout += chunk.toString('utf8')
      this.#tell()
    })
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      this.#stderr += chunk.toString('utf8')
      this.#tell()
    })
    this.#child.stdin?.on('error', () => {})
    this.#ended = this.#wait()
  }

  get stdout(): string {
    return this.#stdout
  }

  get ended(): Promise<Ended> {
    return this.#ended
  }

  /** Resolves when the text has appeared on stdout. */
  saw(text: string | RegExp): Promise<void> {
    return this.#appears(text, () => this.#stdout)
  }

  /** Resolves when the text has appeared on stderr. */
  complained(text: string | RegExp): Promise<void> {
    return this.#appears(text, () => this.#stderr)
  }

  async #appears(text: string | RegExp, where: () => string): Promise<void> {
    const seen = () => (typeof text === 'string' ? where().includes(text) : text.test(where()))
    let over = false
    const finish = (): void => {
      over = true
      this.#tell()
    }
    this.#ended.then(finish, finish)
    while (!seen()) {
      if (over) throw new Error(`it ended without ${String(text)}:\n${this.#stdout}\n${this.#stderr}`)
      await this.#changed.promise
    }
  }

  write(text: string): void {
    this.#child.stdin?.write(text)
  }

  endInput(): void {
    this.#child.stdin?.end()
  }

  /** Nobody reads stdout any more. */
  closeOutput(): void {
    this.#child.stdout?.destroy()
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  async #wait(): Promise<Ended> {
    const [code, signal] = (await once(this.#child, 'close')) as [number | null, string | null]
    if (code === null) throw new Error(`cove was ended by ${signal}`)
    return { status: code, stdout: this.#stdout, stderr: this.#stderr }
  }

  #tell(): void {
    this.#changed.resolve()
    this.#changed = Promise.withResolvers()
  }

  [Symbol.dispose](): void {
    this.#ended.catch(() => {})
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill('SIGKILL')
  }
}
