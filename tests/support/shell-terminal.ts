/* eslint-disable no-control-regex -- these characters are the point */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'

/** A person who sees nothing presses Tab again. */
const AGAIN_MS = 2000

/** What a terminal is told in order to look well, and no text. */
const SEQUENCES =
  /\u001B(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001B]*(?:\u0007|\u001B\\)|[()][0-9A-B]|[=>78]|k[^\u001B]*\u001B\\)|[\r\u0007\u0008]/g

/** A person's shell in a terminal of its own, which util-linux's `script` makes. */
export class ShellTerminal implements AsyncDisposable {
  readonly #child: ChildProcess
  #text = ''
  #changed = Promise.withResolvers<void>()
  #over = false

  constructor(command: string, env: NodeJS.ProcessEnv, cwd: string) {
    this.#child = spawn('script', ['-qefc', command, '/dev/null'], {
      env: { ...process.env, TERM: 'xterm', ...env },
      cwd,
      stdio: 'pipe',
    })
    this.#child.stdout?.on('data', (chunk: Buffer) => {
      this.#text += chunk.toString('utf8')
      this.#tell()
    })
    this.#child.stdin?.on('error', () => {})
    this.#child.once('close', () => {
      this.#over = true
      this.#tell()
    })
  }

  /** What a person would have read since the last `type`. */
  get text(): string {
    return this.#text.replace(SEQUENCES, '')
  }

  type(keys: string): void {
    this.#text = ''
    this.#child.stdin?.write(keys)
  }

  /** Resolves when this is to be read; rejects when the shell ends without it. */
  async sees(what: string | RegExp): Promise<string> {
    const seen = () => (typeof what === 'string' ? this.text.includes(what) : what.test(this.text))
    while (!seen()) {
      if (this.#over) throw new Error(`the shell ended without ${String(what)}:\n${this.text}`)
      await this.#changed.promise
    }
    return this.text
  }

  /** Types and presses Tab until the shell has made this of it: a busy machine may give no names at first. */
  async completes(typed: string, what: string): Promise<void> {
    this.type(typed)
    const seen = this.sees(what).then(() => true)
    seen.catch(() => {})
    do this.#child.stdin?.write('\t')
    while (!(await Promise.race([seen, delay(AGAIN_MS, false)])))
  }

  #tell(): void {
    this.#changed.resolve()
    this.#changed = Promise.withResolvers()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#over) return
    const closed = once(this.#child, 'close')
    // Interactive shells do not mind being hung up on; what is typed so far is taken back first.
    this.type('\u0015exit\n')
    await closed
  }
}
