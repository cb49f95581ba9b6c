import type { RunnerEnvironment } from '../environment/runner-environment.ts'

/** In what backends may differ. */
export interface RunnerCapabilities {
  /** When a program that is not there is told: by `newProcess`, or by `start`. */
  readonly programsAreLookedUp: 'at once' | 'at start'
  /** `withBinary` of a program in any folder makes it visible by its name. Else it must be there already. */
  readonly takesForeignBinaries: boolean
  /** Variables of the program that uses the library are seen by its processes. */
  readonly inheritsVariables: boolean
  /** A process that has left its session and lost its parents is found and ended too. */
  readonly findsDetached: boolean
  /** What a process leaves running finds its output closed when the process has ended. Default: it is read and dropped. */
  readonly closesOutputOfLeftovers?: boolean
}

/** One environment for one test, with `sh`, `cat`, `head`, `tr`, `sleep` and `env` in it. */
export interface RunnerRig extends AsyncDisposable {
  /** Not yet `init`ed. */
  readonly environment: RunnerEnvironment
  /** The environment's own directory, absolute, as its processes see it; they may write there. */
  readonly directory: string
}

/** A backend under test. */
export interface RunnerSubject {
  readonly name: string
  /** Why it cannot be tried here; undefined when it can. */
  readonly missing: string | undefined
  readonly capabilities: RunnerCapabilities
  open(): Promise<RunnerRig>
}
