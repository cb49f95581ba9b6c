import type { ErrorCode, Exit } from '@cove/domain'
import type { HostProcess, SupervisedPhase } from '@cove/runner'
import { bootId } from '../daemon/daemon-file.ts'
import type { ProcSpec } from './proc-spec.ts'
import type { ProcState } from './proc-state.ts'

/** `lost`: its supervisor is gone, and nobody was there to see how it ended. */
export type ProcPhase = SupervisedPhase | 'lost'

/** What is known of one supervised process, as it is shown. */
export interface ProcInfo {
  readonly name: string
  readonly state: ProcPhase
  readonly ready: boolean | undefined
  /** Of the state; undefined where nobody was there to see it begin. */
  readonly since: Date | undefined
  readonly pid: number | undefined
  /** How often it was started again by itself. */
  readonly restarts: number
  readonly exit: Exit | undefined
  /** In words: why it is in this state. */
  readonly reason: string | undefined
  /** For programs: why it failed. */
  readonly code: ErrorCode | undefined
  /** What it runs in; before that is chosen, what was asked for. */
  readonly backend: string
  readonly description: string | undefined
  readonly command: readonly string[]
  readonly directory: string
  readonly restart: string
  readonly readyCheck: string | undefined
}

/**
 * Puts together what was asked for, what the supervisor has told, and what the launcher knows of the supervisor: a
 * state that nobody keeps current any more is not believed.
 */
export function procInfo(spec: ProcSpec, told: ProcState | undefined, supervisor: HostProcess | undefined): ProcInfo {
  const state = told?.supervisor === spec.supervisor ? told : undefined
  return {
    name: spec.name,
    ...currentState(state, supervisor),
    backend: state?.backend ?? spec.backend,
    description: state?.description,
    command: [spec.program, ...spec.args],
    directory: spec.directory,
    restart: spec.restart,
    readyCheck: spec.ready,
  }
}

type Current = Pick<ProcInfo, 'state' | 'ready' | 'since' | 'pid' | 'restarts' | 'exit' | 'reason' | 'code'>

function currentState(told: ProcState | undefined, supervisor: HostProcess | undefined): Current {
  const status = told?.status
  const lives = supervisor?.state === 'running'
  const over = status !== undefined && ['stopped', 'exited', 'failed'].includes(status.phase)
  const base = {
    ready: undefined,
    since: undefined,
    pid: undefined,
    restarts: 0,
    exit: undefined,
    reason: undefined,
    code: undefined,
  }
  if (status !== undefined && (lives || over)) {
    const { phase, ready, since, pid, restarts, exit, reason, code } = status
    return { state: phase, ready, since: new Date(since), pid, restarts, exit, reason, code }
  }
  if (lives) return { ...base, state: 'starting' }
  if (status === undefined) return { ...base, state: 'failed', reason: 'its supervisor has not come up' }
  const reason =
    told?.bootId === bootId() ? 'its supervisor was killed, and it with that' : 'the machine was started anew'
  return {
    ...base,
    state: 'lost',
    ready: status.ready === undefined ? undefined : false,
    restarts: status.restarts,
    // Of the run that nobody saw the end of; one that waited to be started had an end.
    exit: status.phase === 'waiting' ? status.exit : { kind: 'lost' },
    reason,
  }
}

/** Whether somebody cares for it. */
export function isLive({ state }: Pick<ProcInfo, 'state'>): boolean {
  return state === 'starting' || state === 'running' || state === 'waiting' || state === 'stopping'
}
