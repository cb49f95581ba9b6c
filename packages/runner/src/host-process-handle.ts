import { CoveError, type Exit } from '@cove/domain'
import { FieldsWriter } from '@cove/frames'
import { openHostProcessPipes, type HostProcessPipes } from './host-process-pipes.ts'
import type { HostProcessSpec } from './host-process-spec.ts'
import type { HostProcess, HostProcessState } from './host-process.ts'
import type { CallOptions } from './launcher-connection.ts'
import { OPERATION, type WireEntry } from './launcher-wire.ts'

export type Call = (operation: number, options: CallOptions) => Promise<void>

/** What is known of one host process, kept current by the launcher's answers and events. */
export class HostProcessHandle implements HostProcess {
  readonly id: string
  readonly exited: Promise<Exit>
  readonly #call: Call
  readonly #settle: (exit: Exit) => void
  #entry: WireEntry
  #exit: Exit | undefined

  readonly #stateDir: string
  /** How it was started by this client; undefined when another one did. */
  stdio: HostProcessSpec['stdio']

  constructor(entry: WireEntry, call: Call, stateDir: string) {
    const { promise, resolve } = Promise.withResolvers<Exit>()
    this.id = entry.id
    this.exited = promise
    this.#settle = resolve
    this.#call = call
    this.#stateDir = stateDir
    this.#entry = entry
    this.update(entry)
  }

  get pid(): number {
    return this.#entry.pid
  }

  get startTime(): number {
    return this.#entry.startTime
  }

  get state(): HostProcessState {
    return this.#exit === undefined || this.#entry.state === 'partial' ? this.#entry.state : 'exited'
  }

  get note(): string {
    return this.#entry.note
  }

  get cgroupProblems(): readonly string[] {
    return this.#entry.cgroupProblems
  }

  get exit(): Exit | undefined {
    return this.#exit
  }

  update(entry: WireEntry): void {
    this.#entry = entry
    if (entry.exit !== undefined) this.end(entry.exit)
    else if (entry.state === 'partial') this.end({ kind: 'lost' })
  }

  /** The first end counts. */
  end(exit: Exit): void {
    this.#exit ??= exit
    this.#settle(this.#exit)
  }

  async signal(signal: number, whom: 'leader' | 'group' | 'all'): Promise<void> {
    if (!Number.isInteger(signal) || signal < 1 || signal > 64) {
      throw new CoveError('invalid-argument', 'a signal is a number from 1 to 64', { field: 'signal' })
    }
    const fields = this.#fields().number(3, signal)
    if (whom === 'all') fields.truth(5, true)
    else fields.truth(4, whom === 'group')
    await this.#call(OPERATION.signal, { fields })
  }

  async living(): Promise<number> {
    let count = 0
    await this.#call(OPERATION.living, {
      fields: this.#fields(),
      opened: (fields) => {
        count = fields.needNumber(2)
      },
    })
    return count
  }

  async output(stream: 'stdout' | 'stderr'): Promise<Uint8Array> {
    let bytes: Uint8Array = new Uint8Array()
    await this.#call(OPERATION.output, {
      fields: this.#fields().number(3, stream === 'stdout' ? 1 : 2),
      opened: (fields) => {
        // A copy: the answer's buffer holds more than this.
        bytes = Uint8Array.from(fields.bytes(2) ?? [])
      },
    })
    return bytes
  }

  async openPipes(): Promise<HostProcessPipes> {
    const { stdio } = this
    if (typeof stdio !== 'object' || 'fifos' in stdio)
      throw new CoveError('wrong-state', `${this.id} has no pipes to open`)
    this.stdio = 'null'
    const pipes = await openHostProcessPipes(this.#stateDir, this.id, stdio.piped === 'all')
    try {
      await this.#call(OPERATION.pipesOpen, { fields: this.#fields() })
    } catch (error) {
      pipes.stdin?.destroy()
      pipes.stdout.close()
      pipes.stderr.close()
      throw error
    }
    return pipes
  }

  async initPid(): Promise<number | undefined> {
    let pid: number | undefined
    await this.#call(OPERATION.initPid, {
      fields: this.#fields(),
      opened: (fields) => {
        pid = fields.number(2)
      },
    })
    return pid
  }

  #fields(): FieldsWriter {
    return new FieldsWriter().text(2, this.id)
  }
}
