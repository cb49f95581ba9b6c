import type { Flags } from '../config/load.ts'
import type { OutputChoice } from '../options/output-options.ts'
import type { InstallPolicy } from '../setup/install-policy.ts'

export interface ConfigArgs {
  readonly flags: Flags
  /** From `--config`. */
  readonly config?: string | undefined
}

export interface UpArgs extends ConfigArgs {
  /** Start in the background and return when ready. */
  readonly detach: boolean
  readonly install: InstallPolicy
}

export interface DownArgs extends ConfigArgs {
  /** Delete every sandbox first. */
  readonly all: boolean
}

export interface ReportArgs extends ConfigArgs {
  readonly output: OutputChoice
}
