import { CoveError, describeExit, randomId, type Random } from '@cove/domain'
import type { HostProcessSpec, Launcher } from '@cove/runner'
import { liveProcess, type LiveProcess } from '../host/live-process.ts'

/** What ids of short programs begin with in the launcher's records. */
const PREFIX = 'runsc-do-'
const ANSWER_MS = 30_000
type Command = Pick<HostProcessSpec, 'argv' | 'mounts' | 'userNamespace'>

/** Short programs of one daemon, through the launcher. */
export class RunscCommands {
  readonly #launcher: Launcher
  readonly #random: Random
  /** Tells those of this daemon from those of one that was killed. */
  readonly #prefix: string

  #self: Promise<LiveProcess | undefined> | undefined

  constructor(launcher: Launcher, random: Random) {
    this.#launcher = launcher
    this.#random = random
    this.#prefix = `${PREFIX}${randomId(random)}-`
  }

  /** Ends what daemons before this one were about to do. */
  async endForeign(): Promise<void> {
    for (const { id } of await this.#launcher.list()) {
      if (id.startsWith(PREFIX) && !id.startsWith(this.#prefix)) await this.#launcher.destroy(id)
    }
  }

  /**
   * Runs one to its end, and answers what it said on stdout. It goes with this daemon. `driver-failed` with its last
   * words when it ends with anything but 0; `cancelled`. Without a signal it has 30 s, for a kernel inside that does not
   * answer must hold nobody up: `deadline-exceeded`.
   */
  async run(command: Command, caller?: AbortSignal): Promise<string> {
    const signal = caller ?? AbortSignal.timeout(ANSWER_MS)
    const launcher = this.#launcher
    const id = `${this.#prefix}${randomId(this.#random)}`
    const owner = await (this.#self ??= liveProcess(process.pid))
    if (owner === undefined) throw new CoveError('internal', 'this process cannot be found in /proc')
    try {
      const started = await launcher.start({ ...command, id, owner, env: {}, stdio: 'held' }, signal)
      const exit = await unlessAborted(started.exited, signal)
      if (exit.kind === 'exited' && exit.code === 0) return textOf(await started.output('stdout'))
      const said = textOf(await started.output('stderr')) || textOf(await started.output('stdout'))
      throw new CoveError('driver-failed', `runsc ${describeExit(exit)}${said === '' ? '' : `: ${said.slice(-500)}`}`)
    } catch (error) {
      if (caller !== undefined || !signal.aborted) throw error
      throw new CoveError('deadline-exceeded', 'the kernel of the machine does not answer')
    } finally {
      await launcher.destroy(id)
    }
  }
}

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
