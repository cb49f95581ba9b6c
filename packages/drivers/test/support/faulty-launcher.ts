import { CoveError } from '@cove/domain'
import type { HostProcess, HostProcessSpec, Launcher, NamedProcess } from '@cove/runner'
import type { Fault } from '../../src/conformance/index.ts'

type Spoil = (spec: HostProcessSpec) => HostProcessSpec

/** Passes everything on to the launcher of the moment, and spoils starts on request. */
export class FaultyLauncher implements Launcher {
  inner: Launcher
  #spoil: Spoil | undefined
  #loseAnswer = false

  constructor(inner: Launcher) {
    this.inner = inner
  }

  /** Starts that fail at every stage: before anything is made, in the middle, and at the last step. */
  readonly faults: readonly Fault[] = [
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

  async start(spec: HostProcessSpec, signal?: AbortSignal): Promise<HostProcess> {
    const started = await this.inner.start(this.#spoil?.(spec) ?? spec, signal)
    if (this.#loseAnswer) throw new CoveError('launcher-unavailable', 'the connection to the launcher has ended')
    return started
  }

  list(): Promise<readonly HostProcess[]> {
    return this.inner.list()
  }

  get(id: string): Promise<HostProcess | undefined> {
    return this.inner.get(id)
  }

  destroy(id: string): Promise<void> {
    return this.inner.destroy(id)
  }

  setHostname(process: NamedProcess, hostname: string): Promise<void> {
    return this.inner.setHostname(process, hostname)
  }

  sweep(): Promise<number> {
    return this.inner.sweep()
  }

  stopLauncher(): Promise<void> {
    return this.inner.stopLauncher()
  }

  close(): Promise<void> {
    return this.inner.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
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
