import { isErrorCode, type Exit } from '@cove/domain'
import type { SupervisedPhase, SupervisedStatus } from '@cove/runner'
import type { Fields } from './private-json.ts'

/** What a supervisor tells of itself. */
export interface ProcState {
  /** That of the spec which it carries out. */
  readonly supervisor: string
  readonly bootId: string
  readonly backend: string | undefined
  /** For people: which backend it is, and why. */
  readonly description: string | undefined
  readonly status: SupervisedStatus
}

const PHASES: readonly SupervisedPhase[] = ['starting', 'running', 'waiting', 'stopping', 'stopped', 'exited', 'failed']

export function readState(fields: Fields): ProcState {
  const text = (name: string): string => fields.text(name)
  const status = fields.fields('status')
  const phase = PHASES.find((one) => one === status.text('phase'))
  if (phase === undefined) throw new Error('phase is none')
  const code = status.maybe('code', (name) => status.text(name))
  return {
    supervisor: text('supervisor'),
    bootId: text('bootId'),
    backend: fields.maybe('backend', text),
    description: fields.maybe('description', text),
    status: {
      phase,
      since: status.number('since'),
      ready: status.maybe('ready', (name) => status.truth(name)),
      pid: status.maybe('pid', (name) => status.number(name)),
      runs: status.number('runs'),
      restarts: status.number('restarts'),
      exit: status.maybe('exit', (name) => readExit(status.fields(name))),
      reason: status.maybe('reason', (name) => status.text(name)),
      code: code === undefined || !isErrorCode(code) ? undefined : code,
    },
  }
}

function readExit(fields: Fields): Exit {
  const kind = fields.text('kind')
  switch (kind) {
    case 'exited':
      return { kind, code: fields.number('code') }
    case 'signaled':
      return { kind, signal: fields.number('signal') }
    case 'out-of-memory':
    case 'lost':
      return { kind }
    default:
      throw new Error('exit is none')
  }
}
