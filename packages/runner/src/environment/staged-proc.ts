import type { Readable, Writable } from 'node:stream'
import { CoveError, type Exit } from '@cove/domain'
import { type AppendedVariable, checkVariables } from './environment-layers.ts'
import { LateReadable, LateWritable } from './late-streams.ts'
import type { LaunchedProc, ProcLauncher } from './launched-proc.ts'
import type { Line } from './line.ts'
import { OutputDrain } from './output-drain.ts'
import { type LineSink, OutputFanOut } from './output-fan-out.ts'
import type { Proc } from './proc.ts'
import type { StopOptions } from './runner-environment.ts'

const GRACE_MS = 5000
/** How long readers of the output have after a stop; what they have not taken by then is thrown away. */
const TAKE_MS = 5000
/** What a timer of Node can hold. */
const LONGEST_MS = 0x7fffffff

type Stage =
  | { readonly kind: 'new' }
  | { readonly kind: 'starting'; readonly abort: AbortController; readonly done: Promise<unknown> }
  | { readonly kind: 'running'; readonly launched: LaunchedProc; readonly result: Promise<Exit> }
  | { readonly kind: 'ended'; readonly launched: LaunchedProc; readonly result: Promise<Exit> }
  /** It has never run and never will: it was stopped before, or could not be started. */
  | { readonly kind: 'void'; readonly reason: CoveError }

interface Stopping {
  /** Aborted: nobody waits for the grace any longer. */
  readonly hurry: AbortController
  readonly done: Promise<Exit>
}

/** A process from its plan to its end: all that is the same for every backend. */
export class StagedProc implements Proc {
  readonly #backend: ProcLauncher
  readonly #program: string
  readonly #args: readonly string[]
  readonly #fanOut = new OutputFanOut()
  readonly #variables: Record<string, string> = {}
  readonly #appended: AppendedVariable[] = []
  #directory: string | undefined
  #waitOn: string | undefined
  #stdin: LateWritable | undefined
  #stdout: LateReadable | undefined
  #stage: Stage = { kind: 'new' }
  #stopping: Stopping | undefined
  #untrack: (() => void) | undefined
  readonly #abandoned = Promise.withResolvers<void>()

  constructor(backend: ProcLauncher, program: string, args: readonly string[]) {
    this.#backend = backend
    this.#program = program
    this.#args = args
  }

  withDirectory(directory: string): this {
    this.#needNew()
    if (directory === '' || directory.includes('\0')) {
      throw new CoveError('path-invalid', 'the directory is empty or has a NUL', { field: 'directory' })
    }
    this.#directory = directory
    return this
  }

  withEnvironment(variables: Readonly<Record<string, string>>): this {
    this.#needNew()
    checkVariables(variables)
    Object.assign(this.#variables, variables)
    return this
  }

  withEnvironmentAppended(name: string, value: string, separator: string): this {
    this.#needNew()
    checkVariables({ [name]: value + separator })
    this.#appended.push({ name, value, separator })
    return this
  }

  withOutput(sink: LineSink): this {
    this.#needNew()
    this.#fanOut.addSink(sink)
    return this
  }

  withWaitOn(program: string): this {
    this.#needNew()
    if (program === '' || program.includes('/')) {
      throw new CoveError('invalid-argument', 'a program is waited for by its name, without a folder', {
        field: 'program',
      })
    }
    this.#waitOn = program
    return this
  }

  stdinPipe(): Writable {
    this.#needNew()
    if (this.#stdin !== undefined) throw new CoveError('wrong-state', 'the pipe of stdin is taken already')
    this.#stdin = new LateWritable()
    return this.#stdin
  }

  stdoutPipe(): Readable {
    this.#needNew()
    if (this.#stdout !== undefined) throw new CoveError('wrong-state', 'the pipe of stdout is taken already')
    this.#stdout = new LateReadable()
    return this.#stdout
  }

  async start(signal?: AbortSignal): Promise<void> {
    this.#needNew()
    const abort = new AbortController()
    const onAbort = (): void => abort.abort()
    if (signal?.aborted === true) abort.abort()
    signal?.addEventListener('abort', onAbort, { once: true })
    const launching = this.#launch(abort.signal)
    const done = Promise.allSettled([launching])
    this.#stage = { kind: 'starting', abort, done }
    this.#untrack = this.#backend.track(this)
    try {
      this.#run(await launching)
    } catch (error) {
      const reason = CoveError.from(error)
      this.#giveUp(reason)
      this.#untrack()
      throw reason
    } finally {
      signal?.removeEventListener('abort', onAbort)
    }
  }

  async run(signal?: AbortSignal): Promise<Exit> {
    await this.start(signal)
    const stop = (): void => {
      // Whoever waits gets its answer; a failure to end it shows there.
      this.stop().catch(() => {})
    }
    if (signal?.aborted === true) stop()
    signal?.addEventListener('abort', stop, { once: true })
    try {
      const exit = await this.wait()
      if (signal?.aborted === true) {
        await this.#stopping?.done
        throw cancelled(this.#program)
      }
      return exit
    } finally {
      signal?.removeEventListener('abort', stop)
    }
  }

  async wait(): Promise<Exit> {
    await (this.#stage.kind === 'starting' ? this.#stage.done : undefined)
    const stage = this.#stage
    if (stage.kind === 'running' || stage.kind === 'ended') return await stage.result
    throw stage.kind === 'void' ? stage.reason : notStarted(this.#program)
  }

  async stop(options: StopOptions = {}): Promise<Exit | undefined> {
    if (this.#stage.kind === 'new') {
      this.#giveUp(new CoveError('wrong-state', `${this.#program} was stopped before it was started`))
    }
    if (this.#stage.kind === 'starting') {
      this.#stage.abort.abort()
      await this.#stage.done
    }
    const stage = this.#stage
    if (stage.kind !== 'running' && stage.kind !== 'ended') return undefined
    this.#stopping ??= this.#beginStop(stage.launched, stage.result)
    const { hurry, done } = this.#stopping
    const impatient = (): void => hurry.abort()
    const timer = setTimeout(impatient, Math.min(options.graceMs ?? GRACE_MS, LONGEST_MS))
    if (options.signal?.aborted === true) impatient()
    options.signal?.addEventListener('abort', impatient, { once: true })
    try {
      return await done
    } finally {
      clearTimeout(timer)
      options.signal?.removeEventListener('abort', impatient)
    }
  }

  isRunning(): Promise<boolean> {
    return Promise.resolve(this.#stage.kind === 'running')
  }

  get pid(): number | undefined {
    return this.#stage.kind === 'running' ? this.#stage.launched.pid : undefined
  }

  lines(): AsyncIterable<Line> {
    return this.#fanOut.lines()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  async #launch(signal: AbortSignal): Promise<LaunchedProc> {
    if (signal.aborted) throw cancelled(this.#program)
    const launched = await this.#backend.launch(
      {
        program: this.#program,
        args: this.#args,
        directory: this.#directory,
        variables: this.#variables,
        appended: this.#appended,
        waitOn: this.#waitOn,
        stdin: this.#stdin !== undefined,
      },
      signal,
    )
    if (!signal.aborted) return launched
    await launched.destroy()
    throw cancelled(this.#program)
  }

  #run(launched: LaunchedProc): void {
    if (launched.stdin !== undefined) this.#stdin?.connect(launched.stdin)
    const drains = [new OutputDrain('stderr', launched.stderr, this.#fanOut)]
    if (this.#stdout === undefined) drains.push(new OutputDrain('stdout', launched.stdout, this.#fanOut))
    else this.#stdout.connect(launched.stdout.readable())
    const result = this.#finish(launched, drains)
    this.#stage = { kind: 'running', launched, result }
  }

  async #finish(launched: LaunchedProc, drains: readonly OutputDrain[]): Promise<Exit> {
    const exit = await launched.exited
    await Promise.race([Promise.all(drains.map((drain) => drain.finish())), this.#abandoned.promise])
    this.#fanOut.close()
    this.#stdin?.destroy()
    if (this.#stage.kind === 'running') this.#stage = { ...this.#stage, kind: 'ended' }
    // What it has left running is ended by `stop`, which the environment calls too.
    const nothingLeft = await launched.release().catch(() => false)
    if (nothingLeft) this.#untrack?.()
    return exit
  }

  #beginStop(launched: LaunchedProc, result: Promise<Exit>): Stopping {
    const hurry = new AbortController()
    const impatient = new Promise<void>((resolve) => {
      hurry.signal.addEventListener('abort', () => resolve(), { once: true })
    })
    const end = async (): Promise<Exit> => {
      await launched.terminate()
      const gone = launched.exited.then(() => launched.quiet(hurry.signal)).catch(() => {})
      await Promise.race([gone, impatient])
      hurry.abort()
      await launched.destroy()
      this.#untrack?.()
      const timer = setTimeout(() => this.#abandoned.resolve(), TAKE_MS)
      try {
        return await result
      } finally {
        clearTimeout(timer)
      }
    }
    const done = end().catch((error: unknown) => {
      // Somebody may try again: what cannot be ended now can perhaps later.
      this.#stopping = undefined
      throw CoveError.from(error)
    })
    return { hurry, done }
  }

  #giveUp(reason: CoveError): void {
    this.#stage = { kind: 'void', reason }
    this.#fanOut.close()
    this.#stdin?.destroy()
    this.#stdout?.destroy()
  }

  #needNew(): void {
    if (this.#stage.kind === 'new') return
    throw new CoveError('wrong-state', `${this.#program} has been started or stopped already`)
  }
}

function cancelled(program: string): CoveError {
  return new CoveError('cancelled', `${program} was cancelled`)
}

function notStarted(program: string): CoveError {
  return new CoveError('wrong-state', `${program} has not been started`)
}
