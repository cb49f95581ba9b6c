import { setTimeout as delay } from 'node:timers/promises'
import { CoveError } from '@cove/domain'
import { cancelled, throwIfCancelled } from './cancelled.ts'
import type { Welcome } from './greeting.ts'
import type { GuestLinkOptions } from './guest-link.ts'
import { Session } from './session.ts'

/** How long to wait before each further attempt, in milliseconds. */
const RETRY_AFTER_MS = [20, 100, 400] as const
/** How long one attempt may take to connect, and again to be welcomed, in milliseconds. */
const ATTEMPT_MS = 10_000

export interface Greeted {
  readonly session: Session
  readonly welcome: Welcome
}

/**
 * The current session of one link: made anew when it is asked for after a drop, by one attempt for all who wait,
 * until the link is closed or a guest has said that it will have none again.
 */
export class Sessions {
  readonly closed: Promise<CoveError | undefined>
  readonly #options: GuestLinkOptions
  readonly #closing = new AbortController()
  #token: Uint8Array
  /** It may be this one already: nobody has heard whether the guest took it. */
  #nextToken: Uint8Array | undefined
  #current: Greeted | undefined
  #attempt: Promise<Greeted> | undefined
  #resolveClosed: (reason: CoveError | undefined) => void = () => {}
  #final: CoveError | undefined

  constructor(options: GuestLinkOptions) {
    this.#options = options
    this.#token = options.token
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve
    })
  }

  /** The session that lives, or a new one. */
  async get(signal: AbortSignal | undefined): Promise<Greeted> {
    throwIfCancelled(signal)
    const current = this.#current
    // It may have ended in this very turn.
    if (current?.session.isOver === true) this.#onOver(current.session, await current.session.over)
    if (this.#final !== undefined) throw this.#final
    if (this.#current !== undefined) return this.#current
    this.#attempt ??= this.#connect().finally(() => {
      this.#attempt = undefined
    })
    // Everybody who asked may have been cancelled before it fails.
    this.#attempt.catch(() => {})
    return signal === undefined ? this.#attempt : unlessAborted(this.#attempt, signal)
  }

  close(): void {
    if (this.#final !== undefined) return
    this.#finish(new CoveError('guest-unreachable', 'the link to the guest was closed'), undefined)
    this.#current?.session.close()
    this.#current = undefined
  }

  /** The guest is being asked to know this link by another token from now on. */
  expectToken(token: Uint8Array): void {
    this.#nextToken = token
  }

  /** It does. */
  useToken(token: Uint8Array): void {
    this.#token = token
    this.#nextToken = undefined
  }

  async #connect(): Promise<Greeted> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await this.#connectOnce()
      } catch (error) {
        const failure = this.#final ?? CoveError.from(error, 'guest-unreachable')
        if (failure.code === 'unauthenticated' && this.#nextToken !== undefined) {
          this.useToken(this.#nextToken)
          continue
        }
        if (isFinal(failure)) this.#finish(failure, failure)
        const wait = RETRY_AFTER_MS[attempt]
        if (this.#final !== undefined || failure.code !== 'guest-unreachable' || wait === undefined) throw failure
        await delay(wait, undefined, { signal: this.#closing.signal }).catch(() => {})
      }
    }
  }

  async #connectOnce(): Promise<Greeted> {
    if (this.#final !== undefined) throw this.#final
    const { random, singleStream = false } = this.#options
    const limit = new AbortController()
    const timer = setTimeout(() => limit.abort(), ATTEMPT_MS)
    let stream
    try {
      stream = await this.#options.connect(AbortSignal.any([limit.signal, this.#closing.signal]))
    } catch (error) {
      if (!limit.signal.aborted) throw error
      throw new CoveError(
        'guest-unreachable',
        'the guest agent cannot be reached: it took too long',
        {},
        { cause: error },
      )
    } finally {
      clearTimeout(timer)
    }
    if (this.#final !== undefined) {
      stream.destroy()
      throw this.#final
    }
    const epoch = this.#options.nextEpoch()
    const session = new Session({ stream, token: this.#token, epoch, random, singleStream, greetingMs: ATTEMPT_MS })
    const onClosing = (): void => session.close()
    this.#closing.signal.addEventListener('abort', onClosing, { once: true })
    try {
      const greeted = { session, welcome: await session.welcome }
      this.#current = greeted
      void session.over.then((reason) => this.#onOver(session, reason))
      return greeted
    } finally {
      this.#closing.signal.removeEventListener('abort', onClosing)
    }
  }

  #onOver(session: Session, reason: CoveError): void {
    if (this.#current?.session === session) this.#current = undefined
    if (isFinal(reason)) this.#finish(reason, reason)
  }

  #finish(error: CoveError, told: CoveError | undefined): void {
    if (this.#final !== undefined) return
    this.#final = error
    this.#closing.abort()
    this.#resolveClosed(told)
  }
}

/** Trying again would not help: another daemon has the machine, or the guest will never take this one. */
function isFinal(error: CoveError): boolean {
  return error.code === 'stale-session' || error.code === 'unauthenticated' || error.code === 'unsupported'
}

function unlessAborted<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(cancelled(signal))
    signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
