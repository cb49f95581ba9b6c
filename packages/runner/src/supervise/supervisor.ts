import { CoveError, describeExit, type Clock, type ErrorCode, type Exit } from '@cove/domain'
import { systemClock } from '@cove/domain/system'
import type { Line } from '../environment/line.ts'
import type { Proc } from '../environment/proc.ts'
import type { RunnerEnvironment } from '../environment/runner-environment.ts'
import { Readiness } from './readiness.ts'
import { describeReadyCheck, type ReadyCheck } from './ready-check.ts'
import { Restarts, type Backoff, type RestartPolicy, type RunEnd } from './restart-policy.ts'
import { isOver, type SupervisedPhase, type SupervisedStatus } from './supervised-status.ts'

export interface SupervisorOptions {
  /** Stays the caller's, who shuts it down. */
  readonly environment: RunnerEnvironment
  readonly program: string
  readonly args: readonly string[]
  /** Default: the environment's. */
  readonly directory?: string | undefined
  readonly variables?: Readonly<Record<string, string>> | undefined
  readonly restart: RestartPolicy
  readonly backoff?: Backoff | undefined
  readonly ready?: ReadyCheck | undefined
  /** For each run, from its start. Default 60,000. */
  readonly readyTimeoutMs?: number | undefined
  /** From TERM to KILL. Default 5,000. */
  readonly graceMs?: number | undefined
  /** Default: the real one. */
  readonly clock?: Clock
  /** Every change, in order. */
  readonly onStatus?: (status: SupervisedStatus) => void
  /** Every line of output of every run. One that waits makes the process wait. */
  readonly onLine?: (line: Line) => void | Promise<void>
  /** What the supervisor does, in words. */
  readonly onNote?: (text: string) => void
}

const READY_TIMEOUT_MS = 60_000
const GRACE_MS = 5000

/** What was wanted while a process ran. */
type Wish = 'stop' | 'restart'

interface Why {
  readonly reason: string
  readonly code: ErrorCode
}

interface Ended extends RunEnd {
  readonly why?: Why | undefined
  /** A further start would go the same way. */
  readonly permanent: boolean
}

/** Runs one command in an environment, and again as its policy says, until it is over for good. */
export class Supervisor {
  readonly #options: SupervisorOptions
  readonly #clock: Clock
  readonly #restarts: Restarts
  #status: SupervisedStatus
  #wish: Wish | undefined
  /** Aborts at every wish, to be renewed when it was met. */
  #interrupt = new AbortController()
  #graceMs: number
  #running: Promise<SupervisedStatus> | undefined
  /** What is just being ended. */
  #ending: Proc | undefined

  constructor(options: SupervisorOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#restarts = new Restarts(options.restart, options.backoff)
    this.#graceMs = options.graceMs ?? GRACE_MS
    this.#status = {
      phase: 'starting',
      since: this.#clock.now(),
      ready: options.ready === undefined ? undefined : false,
      pid: undefined,
      runs: 0,
      restarts: 0,
      exit: undefined,
      reason: undefined,
      code: undefined,
    }
  }

  get status(): SupervisedStatus {
    return this.#status
  }

  /** Resolves when it is over for good; never rejects. One call. */
  run(): Promise<SupervisedStatus> {
    this.#running ??= this.#run()
    return this.#running
  }

  /** Ends it for good, with TERM and after the grace with KILL. `run` tells when it is done. */
  stop(graceMs = this.#graceMs): void {
    this.#graceMs = graceMs
    this.#want('stop')
    // Whoever asks again with less patience need not wait for the first one's grace; a failure shows there.
    this.#ending?.stop({ graceMs }).catch(() => {})
  }

  /** Ends what runs and starts it anew, also where it waits to be started again. */
  restart(): void {
    if (this.#wish !== 'stop') this.#want('restart')
  }

  #want(wish: Wish): void {
    this.#wish = wish
    this.#interrupt.abort()
  }

  async #run(): Promise<SupervisedStatus> {
    this.#options.onStatus?.(this.#status)
    for (;;) {
      const end = await this.#once()
      if (this.#wish === 'stop') return this.#over('stopped')
      if (this.#wish === 'restart') {
        this.#note('starting anew, as asked')
        this.#renew()
        continue
      }
      const decision = this.#restarts.next(end)
      const why = end.why?.reason ?? describeExit(end.exit ?? { kind: 'lost' })
      if (end.permanent || decision.kind === 'end') {
        this.#note(why)
        return end.why === undefined ? this.#over('exited') : this.#over('failed', end.why)
      }
      if (decision.kind === 'give-up') {
        const reason = `${why}; given up after ${count(decision.restarts, 'restart')} in a row`
        this.#note(reason)
        return this.#over('failed', { reason, code: end.why?.code ?? 'driver-failed' })
      }
      await this.#waitFor(decision.delayMs, why)
      if (this.#wanted() === 'stop') return this.#over('stopped')
      if (this.#wanted() === 'restart') this.#renew()
      else this.#set({ restarts: this.#status.restarts + 1 })
    }
  }

  /** From its start to its end. */
  async #once(): Promise<Ended> {
    const { environment, ready: check, directory } = this.#options
    const clock = this.#clock
    const signal = this.#interrupt.signal
    const ready = this.#status.ready === undefined ? undefined : false
    this.#enter('starting', { ready, reason: undefined, runs: this.#status.runs + 1 })
    const readiness = check === undefined ? undefined : new Readiness(check, environment, directory, clock)
    let proc: Proc
    try {
      await environment.init({ signal, progress: (step) => this.#set({ reason: step }) })
      if (check?.kind === 'port' && (await readiness?.isTaken(signal)) === true) {
        throw new CoveError('address-in-use', `something else answers on port ${check.port} already`)
      }
      proc = await this.#make(readiness)
      await proc.start(signal)
    } catch (thrown) {
      const error = CoveError.from(thrown)
      // A machine out of memory may do better later; a program that is not there will not.
      const permanent = !error.transient && this.#status.restarts === 0
      const why = { reason: `could not be started: ${error.message}`, code: error.code }
      return { exit: undefined, upMs: 0, failed: true, why, permanent }
    }
    const begun = clock.monotonic()
    this.#enter('running', { pid: proc.pid, exit: undefined, reason: undefined })
    this.#note(`started${proc.pid === undefined ? '' : `, pid ${proc.pid}`}`)
    const over = new AbortController()
    const becoming = this.#becomeReady(readiness, over.signal)
    const why = await Promise.race([
      proc.wait().then(() => undefined),
      becoming,
      aborted(AbortSignal.any([signal, over.signal])),
    ])
    const exit = await this.#end(proc, signal.aborted || why !== undefined)
    const upMs = clock.monotonic() - begun
    over.abort()
    await becoming.catch(() => {})
    this.#set({ exit, pid: undefined })
    return { exit, upMs, failed: why !== undefined, permanent: false, why }
  }

  async #make(readiness: Readiness | undefined): Promise<Proc> {
    const { environment, program, args, directory, variables, onLine } = this.#options
    const proc = await environment.newProcess(program, ...args)
    if (directory !== undefined) proc.withDirectory(directory)
    if (variables !== undefined) proc.withEnvironment(variables)
    return proc.withOutput((line) => {
      readiness?.line(line)
      return onLine?.(line)
    })
  }

  /** Never resolves for a process that is, or may become, ready; else with the reason why it is not. */
  async #becomeReady(readiness: Readiness | undefined, over: AbortSignal): Promise<Why> {
    const { ready: check, readyTimeoutMs = READY_TIMEOUT_MS } = this.#options
    if (readiness !== undefined && check !== undefined) {
      const looking = new AbortController()
      const both = AbortSignal.any([looking.signal, over])
      const timeout = this.#clock.sleep(readyTimeoutMs, both).then(() => 'late' as const)
      const found = await Promise.race([readiness.wait(both).then(() => 'ready' as const), timeout]).catch(
        (thrown: unknown) => CoveError.from(thrown),
      )
      looking.abort()
      if (over.aborted) return await never(over)
      if (found === 'late') {
        const reason = `was not ready within ${readyTimeoutMs / 1000} s: waited for ${describeReadyCheck(check)}`
        return { reason, code: 'deadline-exceeded' }
      }
      if (found !== 'ready') {
        return { reason: `could not be asked whether it is ready: ${found.message}`, code: found.code }
      }
      this.#set({ ready: true })
      this.#note('ready')
    }
    return await never(over)
  }

  /** Also what it has left running. */
  async #end(proc: Proc, asked: boolean): Promise<Exit> {
    if (asked) this.#enter('stopping')
    this.#ending = proc
    try {
      for (;;) {
        try {
          return (await proc.stop({ graceMs: this.#graceMs })) ?? (await proc.wait())
        } catch (thrown) {
          this.#note(`could not be ended: ${CoveError.from(thrown).message}; trying again`)
          await this.#clock.sleep(1000)
        }
      }
    } finally {
      this.#ending = undefined
    }
  }

  async #waitFor(delayMs: number, why: string): Promise<void> {
    const inTime = delayMs < 1000 ? `${delayMs} ms` : `${Math.round(delayMs / 1000)} s`
    this.#note(`${why}; starting again in ${inTime}`)
    this.#enter('waiting', { reason: `${why}; starts again in ${inTime}` })
    await this.#clock.sleep(delayMs, this.#interrupt.signal).catch(() => {})
  }

  #wanted(): Wish | undefined {
    return this.#wish
  }

  #renew(): void {
    this.#wish = undefined
    this.#interrupt = new AbortController()
    this.#restarts.reset()
  }

  #over(phase: SupervisedPhase, why?: Why): SupervisedStatus {
    const { reason, code } = why ?? {}
    this.#enter(phase, { pid: undefined, reason, code, ready: this.#status.ready === undefined ? undefined : false })
    if (phase === 'stopped') this.#note('stopped')
    return this.#status
  }

  #enter(phase: SupervisedPhase, more: Partial<SupervisedStatus> = {}): void {
    this.#set({ phase, since: this.#clock.now(), ...more })
  }

  #set(change: Partial<SupervisedStatus>): void {
    if (isOver(this.#status)) return
    this.#status = { ...this.#status, ...change }
    this.#options.onStatus?.(this.#status)
  }

  #note(text: string): void {
    this.#options.onNote?.(text)
  }
}

function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined)
    else signal.addEventListener('abort', () => resolve(undefined), { once: true })
  })
}

/** Rejects when the signal aborts. */
function never(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const abort = (): void => reject(new CoveError('cancelled', 'the process has ended'))
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort, { once: true })
  })
}

const count = (amount: number, what: string): string => `${amount} ${what}${amount === 1 ? '' : 's'}`
