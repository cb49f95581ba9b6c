import type { Io } from '../io.ts'
import { printable } from '../render/text.ts'
import type { ProcInfo } from './proc-info.ts'

/** Tells on stderr what becomes of a process until it is ready, a line for each change. */
export class ProcProgress {
  readonly #name: string
  readonly #io: Io
  readonly #quiet: boolean
  readonly #begun = performance.now()
  #last = ''
  #described = false

  constructor(name: string, io: Io, quiet: boolean) {
    this.#name = name
    this.#io = io
    this.#quiet = quiet
  }

  show({ state, reason, description, ready, readyCheck }: ProcInfo): void {
    if (description !== undefined && !this.#described) {
      this.#described = true
      this.#tell(description)
    }
    const waits = state === 'running' && ready === false ? `runs, waiting for ${readyCheck ?? 'it'}` : undefined
    const text = waits ?? (state === 'starting' || state === 'waiting' ? reason : undefined)
    if (text === undefined || text === this.#last) return
    this.#last = text
    this.#tell(text)
  }

  done({ pid, ready, state }: ProcInfo): void {
    const seconds = ((performance.now() - this.#begun) / 1000).toFixed(1)
    const what = ready === true ? `ready after ${seconds} s` : state
    this.#tell(pid === undefined ? what : `${what}, pid ${pid}`)
  }

  #tell(text: string): void {
    if (!this.#quiet) this.#io.stderr.write(`${this.#name}: ${printable(text)}\n`)
  }
}
