import {
  CoveError,
  describeExit,
  type Clock,
  type Exit,
  type Guest,
  type GuestIdentity,
  type Log,
  type Machine,
  type Random,
  type SandboxId,
} from '@cove/domain'
import type { GuestLink, GuestLinkOptions } from '@cove/guest-link'
import type { Epochs } from './epochs.ts'
import { GuestHandle } from './guest-handle.ts'
import { abortable, anySignal, withDeadline } from './wait.ts'

/** How sessions with guest agents are opened. */
export type OpenLink = (options: GuestLinkOptions) => Promise<GuestLink>

export interface SessionParts {
  readonly openLink: OpenLink
  readonly epochs: Epochs
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** Milliseconds that a guest agent may take to answer the first hello. */
  readonly guestTimeoutMs: number
}

/**
 * The daemon's hold on one machine's guest agent. The link is opened by whoever needs it first, shared, and opened
 * again after it was lost. Once the machine has ended, everything that was handed out fails with the same error
 * for ever, so that an old handle never reaches a successor.
 */
export class GuestSession {
  readonly machine: Machine
  readonly guest: Guest
  #token: Uint8Array
  #sandbox: SandboxId | undefined
  readonly #parts: SessionParts
  readonly #over = new AbortController()
  #ended: CoveError | undefined
  #exit: Exit | undefined
  #link: Promise<GuestLink> | undefined
  /** The same link once it stands, so that a call does not wait for what is there. */
  #open: GuestLink | undefined
  #released: Promise<void> | undefined
  #configured = false

  /** Without a sandbox it is the session of a machine that waits for one. */
  constructor(sandbox: SandboxId | undefined, machine: Machine, token: Uint8Array, parts: SessionParts) {
    this.machine = machine
    this.#token = token
    this.#parts = parts
    this.guest = new GuestHandle(this)
    this.#sandbox = sandbox
    void this.#followMachine()
  }

  /** Whose machine this is from now on. */
  belongTo(sandbox: SandboxId): void {
    this.#sandbox = sandbox
  }

  /** How the machine ended, once it has. */
  get exit(): Exit | undefined {
    return this.#exit
  }

  /** Why the machine cannot be reached any more. */
  get ended(): CoveError | undefined {
    return this.#ended
  }

  get configured(): boolean {
    return this.#configured
  }

  async link(signal?: AbortSignal): Promise<GuestLink> {
    if (this.#ended !== undefined) throw this.#ended
    if (this.#open !== undefined) return this.#open
    this.#link ??= this.#openLink()
    const link = signal === undefined ? await this.#link : await abortable(this.#link, signal)
    if (this.#ended !== undefined) throw this.#ended
    return link
  }

  async configure(identity: GuestIdentity, signal: AbortSignal): Promise<void> {
    const { clock, guestTimeoutMs } = this.#parts
    const limit = anySignal(signal, this.#over.signal)
    await withDeadline(clock, guestTimeoutMs, 'setting up the guest', limit, async (limited) => {
      const link = await this.link(limited)
      await link.configure(identity, limited)
    })
    if (identity.token !== undefined) this.#token = identity.token
    this.#configured = true
  }

  /** Nobody gets through from now on: `reason` is what every later call is told. Safe to call twice. */
  end(reason: CoveError): void {
    if (this.#ended !== undefined) return
    this.#ended = reason
    this.#over.abort(reason)
    this.#released = this.#dropLink()
  }

  /** Ends the session and resolves when the link is closed; the machine and its guest go on. */
  async close(reason: CoveError): Promise<void> {
    this.end(reason)
    await this.#released
  }

  async #followMachine(): Promise<void> {
    this.#exit = await this.machine.exited
    const whose = this.#sandbox === undefined ? 'a pool' : `sandbox ${this.#sandbox}`
    const message = `the machine of ${whose} ${describeExit(this.#exit)}`
    this.end(new CoveError('wrong-state', message, { state: 'ended' }))
  }

  async #dropLink(): Promise<void> {
    const link = this.#link
    this.#link = undefined
    this.#open = undefined
    try {
      await (await link)?.close()
    } catch (error) {
      this.#parts.log.debug('closing a guest link failed', { error: String(error) })
    }
  }

  #openLink(): Promise<GuestLink> {
    const { openLink, epochs, clock, random, guestTimeoutMs } = this.#parts
    const opening = withDeadline(clock, guestTimeoutMs, 'the guest agent', this.#over.signal, (signal) =>
      openLink({
        connect: (stop) => this.machine.connectGuest(stop),
        token: this.#token,
        nextEpoch: () => epochs.next(),
        random,
        ...(this.machine.singleStream === true ? { singleStream: true } : {}),
        signal,
      }),
    )
    const follow = async (): Promise<void> => {
      try {
        const link = await opening
        if (this.#link === opening) this.#open = link
        await link.closed
      } finally {
        if (this.#link === opening) {
          this.#link = undefined
          this.#open = undefined
        }
      }
    }
    follow().catch(() => {})
    return opening
  }
}
