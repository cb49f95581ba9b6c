import { setTimeout as delay } from 'node:timers/promises'
import { CoveError, type Exit } from '@cove/domain'
import { type Fields, FieldsWriter } from '@cove/frames'
import type { HostProcess } from './host-process.ts'
import { HostProcessHandle, type Call } from './host-process-handle.ts'
import type { HostProcessSpec } from './host-process-spec.ts'
import { type CallOptions, type ConnectionEvents, type LauncherConnection, unavailable } from './launcher-connection.ts'
import type { Launcher, NamedProcess } from './launcher.ts'
import { OPERATION, readEntry } from './launcher-wire.ts'
import { encodeSpec } from './spec-encoder.ts'

/** How long a call waits for a launcher that is being started again. */
const WAIT_MS = 5000
const FIRST_RETRY_MS = 50
const LONGEST_RETRY_MS = 5000

/** Finds or starts a launcher and connects to it. */
export type Connect = (events: ConnectionEvents, signal: AbortSignal) => Promise<LauncherConnection>

/** The launcher as the daemon sees it: always the same, whatever happens to the program behind it. */
export class LauncherClient implements Launcher {
  readonly #connect: Connect
  readonly #stateDir: string
  readonly #closing = new AbortController()
  readonly #handles = new Map<string, HostProcessHandle>()
  readonly #events: ConnectionEvents
  #connection: LauncherConnection | undefined
  #connecting: Promise<LauncherConnection> | undefined

  private constructor(connect: Connect, stateDir: string) {
    this.#connect = connect
    this.#stateDir = stateDir
    this.#events = {
      exited: (id, exit) => this.#handles.get(id)?.end(exit),
      closed: () => this.#dropped(),
    }
  }

  static async open(connect: Connect, stateDir: string, signal: AbortSignal | undefined): Promise<LauncherClient> {
    const client = new LauncherClient(connect, stateDir)
    const abort = (): void => client.#closing.abort()
    signal?.addEventListener('abort', abort, { once: true })
    try {
      signal?.throwIfAborted()
      await client.#establish()
      signal?.throwIfAborted()
      return client
    } catch (error) {
      await client.close()
      throw CoveError.from(error, 'launcher-unavailable')
    } finally {
      signal?.removeEventListener('abort', abort)
    }
  }

  async start(spec: HostProcessSpec, signal?: AbortSignal): Promise<HostProcess> {
    if (isAborted(signal)) throw cancelled(spec.id)
    const body = encodeSpec(spec)
    let started: HostProcess | undefined
    const opened = (fields: Fields): void => {
      const handle = this.#learn(fields)
      handle.stdio = spec.stdio
      started = handle
    }
    try {
      await this.#call(OPERATION.start, { body, signal, opened })
    } catch (error) {
      if (isAborted(signal) && isCancelled(error)) throw cancelled(spec.id)
      throw error
    }
    if (started === undefined) throw unavailable()
    if (isAborted(signal)) {
      // It had begun to run before the launcher heard of the cancelling.
      await this.destroy(spec.id)
      throw cancelled(spec.id)
    }
    return started
  }

  async list(): Promise<readonly HostProcess[]> {
    return await this.#listOn((operation, options) => this.#call(operation, options))
  }

  async get(id: string): Promise<HostProcess | undefined> {
    let found: HostProcess | undefined
    const opened = (fields: Fields): void => {
      found = this.#learn(fields)
    }
    try {
      await this.#call(OPERATION.get, { fields: new FieldsWriter().text(2, id), opened })
    } catch (error) {
      if (error instanceof CoveError && error.code === 'process-not-found') return undefined
      throw error
    }
    return found
  }

  async destroy(id: string): Promise<void> {
    await this.#call(OPERATION.destroy, { fields: new FieldsWriter().text(2, id) })
    this.#forget(id)
  }

  async sweep(): Promise<number> {
    let count = 0
    await this.#call(OPERATION.sweep, {
      opened: (fields) => {
        count = fields.needNumber(2)
      },
    })
    return count
  }

  async setHostname({ pid, startTime }: NamedProcess, name: string): Promise<void> {
    const fields = new FieldsWriter().number(3, pid).text(4, name).number(5, startTime)
    await this.#call(OPERATION.hostname, { fields })
  }

  async stopLauncher(): Promise<void> {
    const connection = this.#connection ?? (await this.#waitForConnection())
    // Its end is wanted now, so nothing may connect again.
    this.#connection = undefined
    try {
      await connection.call(OPERATION.stop)
    } catch (error) {
      if (connection.open) this.#connection = connection
      throw error
    }
    await connection.ended
    await this.close()
  }

  async close(): Promise<void> {
    this.#closing.abort()
    this.#connection?.close()
    this.#connection = undefined
    // A connection that is just being made ends by the same signal.
    await this.#connecting?.catch(() => {})
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #call(operation: number, options: CallOptions): Promise<void> {
    const connection = this.#connection ?? (await this.#waitForConnection())
    await connection.call(operation, options)
  }

  async #waitForConnection(): Promise<LauncherConnection> {
    if (this.#closing.signal.aborted) throw new CoveError('launcher-unavailable', 'the launcher was closed')
    const timer = new AbortController()
    const timeout = delay(WAIT_MS, undefined, { signal: timer.signal }).then(
      () => Promise.reject(unavailable()),
      () => Promise.reject(unavailable()),
    )
    try {
      return await Promise.race([this.#connecting ?? this.#establish(), timeout])
    } finally {
      timer.abort()
      timeout.catch(() => {})
    }
  }

  /** One attempt, shared by everybody who waits; handles are current when it is done. */
  #establish(): Promise<LauncherConnection> {
    this.#connecting ??= this.#establishOnce().finally(() => {
      this.#connecting = undefined
    })
    return this.#connecting
  }

  async #establishOnce(): Promise<LauncherConnection> {
    const connection = await this.#connect(this.#events, this.#closing.signal)
    try {
      const known = new Set(this.#handles.keys())
      const present = await this.#listOn((operation, options) => connection.call(operation, options))
      for (const process of present) known.delete(process.id)
      for (const id of known) this.#forget(id)
      this.#closing.signal.throwIfAborted()
      if (!connection.open) throw unavailable()
    } catch (error) {
      connection.close()
      throw error
    }
    this.#connection = connection
    return connection
  }

  async #listOn(call: (operation: number, options: CallOptions) => Promise<void>): Promise<HostProcess[]> {
    const found: HostProcess[] = []
    let more = true
    while (more) {
      more = false
      const after = found.at(-1)?.id
      await call(OPERATION.list, {
        fields: new FieldsWriter().text(2, after),
        opened: (fields) => {
          more = fields.truth(2) ?? false
        },
        event: (fields) => {
          found.push(this.#learn(fields))
        },
      })
    }
    return found
  }

  #dropped(): void {
    if (this.#connection === undefined) return
    this.#connection = undefined
    // Exits are waited for by whoever holds a handle, so the launcher is needed also when nobody calls.
    void this.#reconnect()
  }

  async #reconnect(): Promise<void> {
    let wait = FIRST_RETRY_MS
    while (!this.#closing.signal.aborted && this.#connection === undefined) {
      try {
        await this.#establish()
      } catch {
        await delay(wait, undefined, { signal: this.#closing.signal, ref: false }).catch(() => {})
        wait = Math.min(wait * 2, LONGEST_RETRY_MS)
      }
    }
  }

  #learn(fields: Fields): HostProcessHandle {
    const entry = readEntry(fields)
    const known = this.#handles.get(entry.id)
    if (known !== undefined && known.pid === entry.pid && known.startTime === entry.startTime) {
      known.update(entry)
      return known
    }
    known?.end({ kind: 'lost' })
    const call: Call = (operation, options) => this.#call(operation, options)
    const handle = new HostProcessHandle(entry, call, this.#stateDir)
    this.#handles.set(entry.id, handle)
    return handle
  }

  #forget(id: string): void {
    const lost: Exit = { kind: 'lost' }
    this.#handles.get(id)?.end(lost)
    this.#handles.delete(id)
  }
}

function cancelled(id: string): CoveError {
  return new CoveError('cancelled', `the start of ${id} was cancelled`)
}

function isCancelled(error: unknown): boolean {
  return error instanceof CoveError && error.code === 'cancelled'
}

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted ?? false
}
