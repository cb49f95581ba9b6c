import { setTimeout as delay } from 'node:timers/promises'
import type { Writable } from 'node:stream'
import type { Exit } from '@cove/domain'
import type { LaunchedProc, OutputSource } from '../environment/launched-proc.ts'
import type { HostProcess } from '../host-process.ts'
import type { HostProcessPipes } from '../host-process-pipes.ts'
import type { Launcher } from '../launcher.ts'
import { waitForProgram } from './wait-for-program.ts'

const SIGTERM = 15
const LOOK_AGAIN_MS = 20

/** A process of the launcher, as an environment sees it. */
export class NativeProcess implements LaunchedProc {
  readonly pid: number
  readonly exited: Promise<Exit>
  readonly stdin: Writable | undefined
  readonly stdout: OutputSource
  readonly stderr: OutputSource
  readonly #launcher: Launcher
  readonly #host: HostProcess
  readonly #over = new AbortController()

  constructor(launcher: Launcher, host: HostProcess, pipes: HostProcessPipes, waitOn: string | undefined) {
    this.#launcher = launcher
    this.#host = host
    this.pid = host.pid
    this.stdin = pipes.stdin
    this.stdout = pipes.stdout
    this.stderr = pipes.stderr
    this.exited = waitOn === undefined ? host.exited : this.#exitedWith(waitOn)
  }

  async terminate(): Promise<void> {
    await this.#ask(() => this.#host.signal(SIGTERM, 'all'))
  }

  async quiet(signal: AbortSignal): Promise<void> {
    while ((await this.#living()) > 0) await delay(LOOK_AGAIN_MS, undefined, { signal })
  }

  async destroy(): Promise<void> {
    await this.#launcher.destroy(this.#host.id)
    this.#over.abort()
  }

  async release(): Promise<boolean> {
    if ((await this.#living()) > 0) return false
    await this.#launcher.destroy(this.#host.id)
    return true
  }

  async #exitedWith(program: string): Promise<Exit> {
    const exit = await this.#host.exited
    await waitForProgram(program, this.#host.id, () => this.#living(), this.#over.signal)
    return exit
  }

  async #living(): Promise<number> {
    return (await this.#ask(() => this.#host.living())) ?? 0
  }

  /** A record that is gone is of a process that is. */
  async #ask<T>(question: () => Promise<T>): Promise<T | undefined> {
    try {
      return await question()
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'process-not-found') return undefined
      throw error
    }
  }
}
