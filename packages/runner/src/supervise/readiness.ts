import type { Clock } from '@cove/domain'
import type { Line } from '../environment/line.ts'
import type { RunnerEnvironment } from '../environment/runner-environment.ts'
import { portAnswers, urlAnswers, type ReadyCheck } from './ready-check.ts'

const FIRST_LOOK_MS = 25
const LONGEST_LOOK_MS = 500
/** What forwards a port of a container closes what it cannot bring inside, within a moment. */
const STAYS_MS = 100
/** A pattern looks at the beginning of a line only. */
const MOST_LINE = 16_384

/** Finds out when one run of a process is ready. */
export class Readiness {
  readonly #check: ReadyCheck
  readonly #environment: RunnerEnvironment
  readonly #directory: string | undefined
  readonly #clock: Clock
  readonly #pattern: RegExp | undefined
  readonly #matched = Promise.withResolvers<void>()

  constructor(check: ReadyCheck, environment: RunnerEnvironment, directory: string | undefined, clock: Clock) {
    this.#check = check
    this.#environment = environment
    this.#directory = directory
    this.#clock = clock
    this.#pattern = check.kind === 'log' ? new RegExp(check.pattern, 'u') : undefined
  }

  /** Every line of the process's output. */
  line(line: Line): void {
    if (this.#pattern?.test(line.text.slice(0, MOST_LINE)) === true) this.#matched.resolve()
  }

  /** Whether somebody else answers already, before the process is there. */
  async isTaken(signal: AbortSignal): Promise<boolean> {
    // The port of a container is held by whoever forwards it.
    if (this.#check.kind !== 'port' || this.#environment.backend === 'docker') return false
    return await portAnswers(this.#check.port, signal)
  }

  /** Resolves when it is ready; rejects when the signal aborts. */
  async wait(signal: AbortSignal): Promise<void> {
    if (this.#check.kind === 'log') {
      const { promise, reject } = Promise.withResolvers<never>()
      const abort = (): void => reject(signal.reason)
      signal.addEventListener('abort', abort, { once: true })
      try {
        signal.throwIfAborted()
        await Promise.race([this.#matched.promise, promise])
      } finally {
        signal.removeEventListener('abort', abort)
      }
      return
    }
    for (let pause = FIRST_LOOK_MS; ; pause = Math.min(pause * 2, LONGEST_LOOK_MS)) {
      if (await this.#look(this.#check, signal)) return
      await this.#clock.sleep(pause, signal)
    }
  }

  async #look(check: Exclude<ReadyCheck, { kind: 'log' }>, signal: AbortSignal): Promise<boolean> {
    switch (check.kind) {
      case 'port':
        return await portAnswers(check.port, signal, this.#environment.backend === 'docker' ? STAYS_MS : 0)
      case 'url':
        return await urlAnswers(check.url, signal)
      case 'command':
        return await this.#succeeds(check.command, signal)
    }
  }

  async #succeeds(command: string, signal: AbortSignal): Promise<boolean> {
    await using proc = await this.#environment.newProcess('sh', '-c', command)
    if (this.#directory !== undefined) proc.withDirectory(this.#directory)
    const exit = await proc.run(signal)
    return exit.kind === 'exited' && exit.code === 0
  }
}
