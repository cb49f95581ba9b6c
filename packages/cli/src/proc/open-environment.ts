import type { Runner, RunnerEnvironment } from '@cove/runner'
import type { ProcSpec } from './proc-spec.ts'

/** What it runs in, and why. */
export function openProcEnvironment(spec: ProcSpec, runner: Runner, _installation: string): Promise<RunnerEnvironment> {
  return Promise.resolve(runner.native({ directory: spec.directory }))
}
