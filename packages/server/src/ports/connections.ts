import type { Duplex } from 'node:stream'
import { CoveError, type Guest, type Sandbox, type SandboxId } from '@cove/domain'
import type { Activity } from '../sandboxes/activity.ts'
import type { SandboxView } from '../sandboxes/view.ts'

export interface ConnectionLimits {
  /** Open connections to the ports of one sandbox. */
  readonly perSandbox: number
  /** Open connections to ports in all. */
  readonly total: number
  /** Milliseconds that a server in a sandbox may take to accept. */
  readonly dialMs: number
}

export const CONNECTION_LIMITS: ConnectionLimits = { perSandbox: 512, total: 4_096, dialMs: 10_000 }

/**
 * Every open connection to a port of a sandbox, whichever door holds it. Their number is bounded, and all of a
 * sandbox's end when it stops running. Traffic is activity: whoever moves bytes calls `touch`; a connection that is
 * silent does not keep its sandbox alive.
 */
export class Connections {
  readonly #limits: ConnectionLimits
  readonly #view: SandboxView
  readonly #activity: Activity
  readonly #open = new Map<SandboxId, Set<Duplex>>()
  /** Taken places: open connections and those that are being made. */
  readonly #taken = new Map<SandboxId, number>()
  #total = 0

  constructor(view: SandboxView, activity: Activity, limits: ConnectionLimits = CONNECTION_LIMITS) {
    this.#limits = limits
    this.#view = view
    this.#activity = activity
    view.listen((sandbox) => this.#changed(sandbox))
  }

  get count(): number {
    return this.#total
  }

  touch(id: SandboxId): void {
    this.#activity.touch(id)
  }

  /** `connection-refused` when nothing listens; `limit-reached` when there are too many. The stream is the caller's. */
  async open(guest: Guest, { spec, status }: Sandbox, port: number, signal?: AbortSignal): Promise<Duplex> {
    const { id } = spec
    this.#take(id)
    let stream: Duplex | undefined
    try {
      stream = await dial(guest, id, port, this.#limits.dialMs, signal)
    } finally {
      if (stream === undefined) this.#release(id)
    }
    const opened = stream
    const open = this.#open.get(id) ?? new Set()
    this.#open.set(id, open.add(opened))
    opened.once('close', () => {
      open.delete(opened)
      if (open.size === 0 && this.#open.get(id) === open) this.#open.delete(id)
      this.#release(id)
    })
    // Whoever uses the stream hears of its end by its close; an error without a listener would end the process.
    opened.on('error', () => undefined)
    const now = this.#view.sandbox(id)?.status
    if (now?.state !== 'running' || now.incarnation !== status.incarnation) opened.destroy()
    return opened
  }

  #take(id: SandboxId): void {
    const { perSandbox, total } = this.#limits
    const taken = this.#taken.get(id) ?? 0
    if (taken >= perSandbox || this.#total >= total) {
      const limit = taken >= perSandbox ? `${perSandbox} connections to sandbox ${id}` : `${total} connections`
      throw new CoveError('limit-reached', `${limit} are open already`, { sandbox: id })
    }
    this.#taken.set(id, taken + 1)
    this.#total++
  }

  #release(id: SandboxId): void {
    const left = (this.#taken.get(id) ?? 1) - 1
    if (left > 0) this.#taken.set(id, left)
    else this.#taken.delete(id)
    this.#total--
  }

  #changed({ spec, status }: Sandbox): void {
    if (status.state === 'running') return
    for (const stream of this.#open.get(spec.id) ?? []) stream.destroy()
  }
}

async function dial(
  guest: Guest,
  id: SandboxId,
  port: number,
  ms: number,
  caller: AbortSignal | undefined,
): Promise<Duplex> {
  const slow = new AbortController()
  const late = new CoveError('deadline-exceeded', `port ${port} of sandbox ${id} did not accept within ${ms} ms`)
  const timer = setTimeout(() => slow.abort(late), ms)
  const signal = caller === undefined ? slow.signal : AbortSignal.any([slow.signal, caller])
  try {
    return await guest.dial({ kind: 'tcp', port }, signal)
  } catch (error) {
    const { code, message } = CoveError.from(error)
    if (slow.signal.aborted) throw late
    if (code !== 'connection-refused') throw error
    throw new CoveError(
      'connection-refused',
      `nothing listens on port ${port} of sandbox ${id}`,
      { sandbox: id, port },
      {
        fix: `Start the server in the sandbox, and have it listen on port ${port} of 127.0.0.1 or 0.0.0.0.`,
        cause: message,
      },
    )
  } finally {
    clearTimeout(timer)
  }
}
