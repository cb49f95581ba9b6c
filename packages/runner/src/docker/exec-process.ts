import { setTimeout as delay } from 'node:timers/promises'
import type { Writable } from 'node:stream'
import { CoveError, type Exit } from '@cove/domain'
import type { Attached, DockerEngine, ExecState } from '@cove/docker-engine'
import type { LaunchedProc, OutputSource } from '../environment/launched-proc.ts'
import { belongingTo, type ContainerProcesses } from './container-processes.ts'
import type { ContainerWatch } from './container-watch.ts'
import { ExecOutput, execInput } from './exec-output.ts'

const SIGNALS = { TERM: 15, KILL: 9 } as const
/** Signals that end a process that does nothing about them. */
const DEADLY: ReadonlySet<number> = new Set([
  1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 29, 30, 31,
])
const LOOK_AGAIN_MS = 25
/** What is launched may still be on its way to its program when the one that launches it has ended. */
const APPEARS_WITHIN_MS = 2000
/** A container that has ended has said so before its execs have. */
const SETTLES_WITHIN_MS = 3000
const ENDS_WITHIN_MS = 1000
const ASK_MS = 2000
const DESTROY_MS = 30_000

export interface StartedExec {
  readonly engine: DockerEngine
  readonly container: string
  readonly watch: ContainerWatch
  readonly processes: ContainerProcesses
  readonly id: string
  readonly attached: Attached
  readonly mark: string
  /** Of the host, when it is this one. */
  readonly hostPid: number | undefined
  readonly stdin: boolean
  readonly waitOn: string | undefined
  readonly memoryDeaths: number
}

/** A process in a container, as an environment sees it. */
export class ExecProcess implements LaunchedProc {
  readonly pid: number | undefined
  readonly exited: Promise<Exit>
  readonly stdin: Writable | undefined
  readonly stdout: OutputSource
  readonly stderr: OutputSource
  readonly #exec: StartedExec
  readonly #sent = new Set<number>()
  readonly #output: ExecOutput
  readonly #over = new AbortController()
  #ended = false

  constructor(exec: StartedExec) {
    this.#exec = exec
    this.pid = exec.hostPid
    this.stdin = exec.stdin ? execInput(exec.attached) : undefined
    const { engine, id } = exec
    const output = new ExecOutput(exec.attached, async () => {
      const state = await engine.inspectExec(id).catch(() => undefined)
      return state?.running !== true
    })
    this.stdout = output.stdout
    this.stderr = output.stderr
    this.#output = output
    this.exited = this.#exit(output.ended)
  }

  async terminate(): Promise<void> {
    await this.#signal('TERM')
  }

  async quiet(signal: AbortSignal): Promise<void> {
    while ((await this.#living()).length > 0) await delay(LOOK_AGAIN_MS, undefined, { signal })
  }

  async destroy(): Promise<void> {
    const deadline = performance.now() + DESTROY_MS
    // What forks while it is looked for is found by the next look.
    while ((await this.#signal('KILL')) > 0) {
      if (performance.now() > deadline) {
        throw new CoveError('deadline-exceeded', 'something in the container cannot be killed')
      }
      await delay(LOOK_AGAIN_MS)
    }
    this.#over.abort()
    await this.exited
    this.#exec.attached[Symbol.dispose]()
  }

  async release(): Promise<boolean> {
    if ((await this.#living()).length > 0) return false
    if (this.#output.isEnded) this.#exec.attached[Symbol.dispose]()
    return true
  }

  async #exit(outputEnded: Promise<void>): Promise<Exit> {
    const { watch, id, waitOn } = this.#exec
    try {
      const exit = await this.#engineExit(outputEnded)
      this.#ended = true
      // The engine closes the streams when it has told the end, whoever else has them still.
      await Promise.race([this.#output.ended, delay(SETTLES_WITHIN_MS, undefined, { ref: false })])
      // A reader that has forgotten to read holds up its own output, and not the end.
      if (this.#output.isEnded) await Promise.race([this.#output.delivered(), this.#destroyed()])
      if (waitOn !== undefined) await this.#untilEnded(waitOn)
      return exit
    } finally {
      watch.forget(id)
    }
  }

  #destroyed(): Promise<void> {
    const { signal } = this.#over
    return new Promise((resolve) => {
      if (signal.aborted) resolve()
      else signal.addEventListener('abort', () => resolve(), { once: true })
    })
  }

  async #engineExit(outputEnded: Promise<void>): Promise<Exit> {
    const { watch, id, engine } = this.#exec
    await Promise.race([outputEnded, watch.untilEnded(id)])
    let deadline: number | undefined
    for (;;) {
      const state = await engine.inspectExec(id).catch(() => undefined)
      if (state === undefined) return { kind: 'lost' }
      if (!state.running) return await this.#exitOf(state)
      if (deadline === undefined && !(await this.#containerRuns())) deadline = performance.now() + SETTLES_WITHIN_MS
      if (deadline !== undefined && performance.now() > deadline) return { kind: 'lost' }
      // Should the engine ever not say it, it is asked now and then.
      const told = watch.untilEnded(id)
      await Promise.race([told, delay(deadline === undefined ? ASK_MS : LOOK_AGAIN_MS)])
      await delay(LOOK_AGAIN_MS)
    }
  }

  /**
   * The engine tells a death by signal as 128 and its number, as shells do, and so it is taken. Nobody can tell it from
   * a program that ends with that code.
   */
  async #exitOf({ exitCode }: ExecState): Promise<Exit> {
    if (exitCode === undefined) return { kind: 'lost' }
    const signal = exitCode - 128
    if (!DEADLY.has(signal)) return { kind: 'exited', code: exitCode }
    if (signal !== SIGNALS.KILL || this.#sent.has(signal)) return { kind: 'signaled', signal }
    const { watch, id, memoryDeaths } = this.#exec
    // What has been said before its end has been heard by then.
    await Promise.race([watch.untilEnded(id), delay(SETTLES_WITHIN_MS, undefined, { ref: false })])
    if (watch.memoryDeaths > memoryDeaths) return { kind: 'out-of-memory' }
    if (!(await this.#containerEnds())) return { kind: 'signaled', signal }
    const container = await this.#inspect()
    // The kernel ends whatever is in a container that has ended; nobody saw what this one did.
    return container?.outOfMemory === true ? { kind: 'out-of-memory' } : { kind: 'lost' }
  }

  /** Its processes are told to have ended a moment before it is itself. */
  async #containerEnds(): Promise<boolean> {
    const deadline = performance.now() + ENDS_WITHIN_MS
    while (await this.#containerRuns()) {
      if (performance.now() > deadline) return false
      await delay(LOOK_AGAIN_MS)
    }
    return true
  }

  async #containerRuns(): Promise<boolean> {
    const state = (await this.#inspect())?.state
    return state === 'running' || state === 'paused'
  }

  async #inspect(): Promise<Awaited<ReturnType<DockerEngine['inspectContainer']>> | undefined> {
    return await this.#exec.engine.inspectContainer(this.#exec.container).catch(() => undefined)
  }

  /** Until nothing that belongs to this process runs the program any more. */
  async #untilEnded(program: string): Promise<void> {
    const until = performance.now() + APPEARS_WITHIN_MS
    const { signal } = this.#over
    let seen = false
    try {
      while (!signal.aborted) {
        const living = await this.#living()
        const runs = living.some(({ names }) => names.includes(program))
        seen ||= runs
        if (living.length === 0 || (!runs && (seen || performance.now() > until))) return
        await delay(LOOK_AGAIN_MS, undefined, { signal })
      }
    } catch {
      // It was ended in the meantime, or nobody can tell any more.
    }
  }

  /** How many it was sent to. */
  async #signal(signal: keyof typeof SIGNALS): Promise<number> {
    const living = await this.#living()
    if (living.length === 0) return 0
    this.#sent.add(SIGNALS[signal])
    const pids = living.map(({ pid }) => pid)
    await this.#exec.processes.signal(pids, signal).catch(async (error: unknown) => await this.#unlessEnded(error))
    return living.length
  }

  async #living(): Promise<ReturnType<typeof belongingTo>> {
    const { processes, mark, hostPid } = this.#exec
    try {
      // Its pid may belong to another process once it has ended.
      return belongingTo(await processes.list(), mark, this.#ended ? undefined : hostPid)
    } catch (error) {
      await this.#unlessEnded(error)
      return []
    }
  }

  /** Nothing runs in a container that does not. */
  async #unlessEnded(error: unknown): Promise<void> {
    if (await this.#containerRuns()) throw error
  }
}
