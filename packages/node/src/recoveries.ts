import { CoveError, type Clock, type Driver, type Log } from '@cove/domain'
import { abortable } from './wait.ts'

const FIRST_PAUSE_MS = 500
const LONGEST_PAUSE_MS = 30_000

interface State {
  /** Resolves after the first attempt, whatever came of it. */
  readonly attempted: PromiseWithResolvers<void>
  recovered: boolean
  error?: CoveError
}

/** Which drivers have told what they still have. One that cannot yet is asked again, the others do not wait for it. */
export class Recoveries {
  readonly #clock: Clock
  readonly #log: Log
  readonly #signal: AbortSignal
  readonly #states = new Map<string, State>()

  constructor(clock: Clock, log: Log, signal: AbortSignal) {
    this.#clock = clock
    this.#log = log
    this.#signal = signal
  }

  /** Resolves after the first attempt, whatever came of it. */
  async start(driver: Driver, recover: () => Promise<void>): Promise<void> {
    const state: State = { attempted: Promise.withResolvers<void>(), recovered: false }
    this.#states.set(driver.name, state)
    this.#repeat(driver, state, recover).catch(() => {})
    await state.attempted.promise
  }

  /** Waits while the first attempt is under way; fails with its reason when it did not succeed. */
  async wait(driver: string, signal?: AbortSignal): Promise<void> {
    const state = this.#states.get(driver)
    if (state === undefined) return
    if (!state.recovered) await abortable(state.attempted.promise, signal)
    if (state.recovered || state.error === undefined) return
    const message = `the driver ${driver} cannot tell what it runs: ${state.error.message}`
    throw new CoveError('driver-failed', message, { driver }, { cause: state.error, fix: state.error.fix })
  }

  async #repeat(driver: Driver, state: State, recover: () => Promise<void>): Promise<void> {
    let pause = FIRST_PAUSE_MS
    for (;;) {
      try {
        await recover()
        state.recovered = true
        return
      } catch (thrown) {
        const before = state.error?.message
        state.error = CoveError.from(thrown, 'driver-failed')
        this.#signal.throwIfAborted()
        // An engine that is not there is tried for ever, and told once.
        const tell = before === state.error.message ? 'debug' : 'warn'
        this.#log[tell]('recovering machines failed, trying again', { driver: driver.name, error: state.error.message })
      } finally {
        state.attempted.resolve()
      }
      await this.#clock.sleep(pause, this.#signal)
      pause = Math.min(pause * 2, LONGEST_PAUSE_MS)
    }
  }
}
