import { CoveError } from '@cove/domain'
import type { HostProcess, HostProcessSpec, Launcher, NamedProcess } from '@cove/runner'
import type { Fault } from '../../src/conformance/index.ts'

type Spoil = (spec: HostProcessSpec) => HostProcessSpec

/** Spoils starts on request, of whichever launcher a story has at the moment. */
export class LauncherFaults {
  #spoil: Spoil | undefined
  #loseAnswer = false

  /** Starts that fail at every stage: before anything is made, in the middle, and at the last step. */
  readonly all: readonly Fault[] = [
    this.#fault('a start that is refused', () => {
      throw new Error('refused')
    }),
    this.#fault('a file that cannot be opened', (spec) => ({
      ...spec,
      files: [...(spec.files ?? []), { fd: 99, path: '/nonexistent/file', write: false }],
    })),
    this.#fault('a folder that cannot be made', (spec) => ({
      ...spec,
      folders: [...(spec.folders ?? []), { path: '/nonexistent/folder/inside', mode: 0o700 }],
    })),
    this.#fault('a mount that fails', (spec) => ({
      ...spec,
      mounts: [...(spec.mounts ?? []), { kind: 'bind', source: '/nonexistent', target: '/mnt', readOnly: true }],
    })),
    this.#fault('a program that is not there', (spec) => ({ ...spec, argv: ['/nonexistent/program'] })),
    {
      name: 'a launcher that dies before it answers',
      arm: () => {
        this.#loseAnswer = true
      },
      disarm: () => {
        this.#loseAnswer = false
      },
    },
  ]

  async start(inner: Launcher, spec: HostProcessSpec, signal?: AbortSignal): Promise<HostProcess> {
    const started = await inner.start(this.#spoil?.(spec) ?? spec, signal)
    if (this.#loseAnswer) throw new CoveError('launcher-unavailable', 'the connection to the launcher has ended')
    return started
  }

  #fault(name: string, spoil: Spoil): Fault {
    return {
      name,
      arm: () => {
        this.#spoil = spoil
      },
      disarm: () => {
        this.#spoil = undefined
      },
    }
  }
}

/** Passes everything on to the launcher of one daemon, but for faulty starts. */
export class FaultyLauncher implements Launcher {
  readonly #inner: Launcher
  readonly #faults: LauncherFaults
  #isDead = false

  constructor(inner: Launcher, faults: LauncherFaults) {
    this.#inner = inner
    this.#faults = faults
  }

  /**
   * As when its daemon is killed: the connection is gone, and whoever waits for an answer waits for ever. An error would
   * have a daemon tidy up that is not there any more.
   */
  async die(): Promise<void> {
    this.#isDead = true
    await this.#inner.close()
  }

  start(spec: HostProcessSpec, signal?: AbortSignal): Promise<HostProcess> {
    return this.#whileAlive(() => this.#faults.start(this.#inner, spec, signal))
  }

  list(): Promise<readonly HostProcess[]> {
    return this.#whileAlive(() => this.#inner.list())
  }

  get(id: string): Promise<HostProcess | undefined> {
    return this.#whileAlive(() => this.#inner.get(id))
  }

  destroy(id: string): Promise<void> {
    return this.#whileAlive(() => this.#inner.destroy(id))
  }

  setHostname(process: NamedProcess, hostname: string): Promise<void> {
    return this.#whileAlive(() => this.#inner.setHostname(process, hostname))
  }

  sweep(): Promise<number> {
    return this.#whileAlive(() => this.#inner.sweep())
  }

  stopLauncher(): Promise<void> {
    return this.#inner.stopLauncher()
  }

  close(): Promise<void> {
    return this.#inner.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #whileAlive<Value>(call: () => Promise<Value>): Promise<Value> {
    const [outcome] = await Promise.allSettled(this.#isDead ? [] : [call()])
    if (this.#isDead || outcome === undefined) return new Promise<never>(() => undefined)
    if (outcome.status === 'rejected') throw outcome.reason
    return outcome.value
  }
}
