import { CoveError, describeExit, randomId, type Random } from '@cove/domain'
import type { HostProcessSpec, Launcher } from '@cove/runner'
import { liveProcess, type LiveProcess } from '../host/live-process.ts'

/** What ids of short programs begin with in the launcher's records. */
const PREFIX = 'runsc-do-'
/** The same of programs that nothing may cut off. */
const WHOLE_PREFIX = 'runsc-whole-'
const ANSWER_MS = 30_000
type Command = Pick<HostProcessSpec, 'argv' | 'mounts' | 'userNamespace'>

/** Short programs of one daemon, through the launcher. */
export class RunscCommands {
  readonly #launcher: Launcher
  readonly #random: Random
  /** Tells those of this daemon from those of one that was killed. */
  readonly #daemon: string
  #self: Promise<LiveProcess | undefined> | undefined

  constructor(launcher: Launcher, random: Random) {
    this.#launcher = launcher
    this.#random = random
    this.#daemon = `${randomId(random)}-`
  }

  /** Ends what daemons before this one were about to do, but lets happen what may not be cut off. */
  async endForeign(): Promise<void> {
    const ending = (await this.#launcher.list()).map(async ({ id, exited }) => {
      const prefix = [PREFIX, WHOLE_PREFIX].find((one) => id.startsWith(one))
      if (prefix === undefined || id.startsWith(prefix + this.#daemon)) return
      if (prefix === WHOLE_PREFIX) await unlessAborted(exited, AbortSignal.timeout(ANSWER_MS)).catch(() => undefined)
      await this.#launcher.destroy(id)
    })
    await Promise.all(ending)
  }

  /**
   * Runs one to its end, and answers what it said on stdout. It goes with this daemon. `driver-failed` with its last
   * words when it ends with anything but 0; `cancelled`. Without a signal it has 30 s, for a kernel inside that does not
   * answer must hold nobody up: `deadline-exceeded`.
   */
  async run(command: Command, caller?: AbortSignal): Promise<string> {
    const signal = caller ?? AbortSignal.timeout(ANSWER_MS)
    const id = `${PREFIX}${this.#daemon}${randomId(this.#random)}`
    try {
      const owner = await (this.#self ??= liveProcess(process.pid))
      if (owner === undefined) throw new CoveError('internal', 'this process cannot be found in /proc')
      return await this.#finish({ ...command, id, owner, env: {}, stdio: 'held' }, signal)
    } catch (error) {
      throw caller === undefined && signal.aborted ? silent() : error
    } finally {
      await this.#launcher.destroy(id)
    }
  }

  /**
   * The same for one that changes how the machine stands: cut off in the middle, runsc and the kernel inside would no
   * longer agree on that, and the machine would be lost. It goes on without this daemon, and after its 30 s.
   */
  async runWhole(command: Command): Promise<string> {
    const signal = AbortSignal.timeout(ANSWER_MS)
    const id = `${WHOLE_PREFIX}${this.#daemon}${randomId(this.#random)}`
    try {
      return await this.#finish({ ...command, id, owner: 'durable', env: {}, stdio: 'held' }, signal)
    } catch (error) {
      throw signal.aborted ? silent() : error
    } finally {
      const started = await this.#launcher.get(id)
      if (started?.state !== 'running') await this.#launcher.destroy(id)
      else void started.exited.then(() => this.#launcher.destroy(id)).catch(() => undefined)
    }
  }

  async #finish(spec: HostProcessSpec, signal: AbortSignal): Promise<string> {
    const started = await this.#launcher.start(spec, signal)
    const exit = await unlessAborted(started.exited, signal)
    if (exit.kind === 'exited' && exit.code === 0) return textOf(await started.output('stdout'))
    const said = textOf(await started.output('stderr')) || textOf(await started.output('stdout'))
    throw new CoveError('driver-failed', `runsc ${describeExit(exit)}${said === '' ? '' : `: ${said.slice(-500)}`}`)
  }
}

const silent = (): CoveError => new CoveError('deadline-exceeded', 'the kernel of the machine does not answer')

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8').trim()

async function unlessAborted<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const onAbort = () => reject(CoveError.from(signal.reason, 'cancelled'))
  if (signal.aborted) onAbort()
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
