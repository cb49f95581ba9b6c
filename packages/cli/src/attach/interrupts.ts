import { SIGNALS, type Process } from '@cove/sdk'
import type { Io } from '../io.ts'

/** A second Ctrl-C within this time ends the process inside whatever it does. */
const AGAIN_MS = 2000
/** After SIGTERM or SIGHUP the process inside has this long. */
const GRACE_MS = 2000
const CALL_MS = 5000

type Caught = 'SIGINT' | 'SIGTERM' | 'SIGHUP'

/**
 * Takes Ctrl-C and the polite ways to end a program, and passes them on to the process inside: the first one as it is,
 * the second one as KILL, and the third one gives up waiting for anything.
 */
export class Interrupts implements Disposable {
  readonly #release: (() => void)[] = []
  readonly #abandon = new AbortController()
  #process: Process | undefined
  #count = 0
  #last = Number.NEGATIVE_INFINITY
  #killTimer: NodeJS.Timeout | undefined
  readonly #begun = new AbortController()
  #first: Caught | undefined

  constructor(io: Io) {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      const release = io.onSignal?.(signal, () => this.#take(signal))
      if (release !== undefined) this.#release.push(release)
    }
  }

  /** Aborts when the user insists: then nothing is waited for any more. */
  get abandon(): AbortSignal {
    return this.#abandon.signal
  }

  /** Aborts at the first signal: for commands that only look on. */
  get first(): AbortSignal {
    return this.#begun.signal
  }

  /** 128 + n of the first signal that came, also before there was a process for it. */
  get status(): number | undefined {
    return this.#first === undefined ? undefined : 128 + SIGNALS[this.#first === 'SIGINT' ? 'INT' : number(this.#first)]
  }

  passTo(process: Process): void {
    this.#process = process
    if (this.#first !== undefined) this.#send(this.#first)
  }

  /** The process has ended: from now on a signal means to stop waiting. */
  processEnded(): void {
    this.#process = undefined
    clearTimeout(this.#killTimer)
    this.#count = 0
  }

  #take(signal: Caught): void {
    this.#first ??= signal
    this.#begun.abort()
    const now = performance.now()
    this.#count = signal === 'SIGINT' && now - this.#last > AGAIN_MS ? 1 : this.#count + 1
    this.#last = now
    if (this.#count >= 3 || (this.#count >= 2 && this.#process === undefined)) this.#abandon.abort()
    else if (this.#count === 2) this.#kill()
    else this.#send(signal)
  }

  #send(signal: Caught): void {
    const target = this.#process
    if (target === undefined) return
    // A process that is gone needs no signal.
    target.signal(signal === 'SIGINT' ? 'INT' : number(signal), { timeoutMs: CALL_MS }).catch(() => {})
    if (signal !== 'SIGINT') this.#killTimer = setTimeout(() => this.#kill(), GRACE_MS)
  }

  #kill(): void {
    this.#process?.kill({ timeoutMs: CALL_MS }).catch(() => {})
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#killTimer)
    for (const release of this.#release) release()
  }
}

const number = (signal: Exclude<Caught, 'SIGINT'>): 'TERM' | 'HUP' => (signal === 'SIGTERM' ? 'TERM' : 'HUP')
