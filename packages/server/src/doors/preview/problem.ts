import { CoveError, ERROR_CODES, type Sandbox } from '@cove/domain'
import { StatusError } from '../json-error.ts'

/** Why a request did not reach its server, as it is told to people and to programs. */
export interface Problem {
  readonly status: number
  readonly error: CoveError
  readonly title: string
  /** Seconds after which it is worth another try. */
  readonly retryAfter?: number
}

/** Undefined when the sandbox runs. Strangers are told the reason, and not what the host said of it. */
export function stateProblem({ spec, status }: Sandbox, toStranger: boolean): Problem | undefined {
  const { state, reason } = status
  const message = toStranger ? undefined : status.message
  const context = { sandbox: spec.id, state }
  const why = `${reason === undefined ? '' : ` (${reason})`}${message === undefined ? '' : `: ${message}`}`
  switch (state) {
    case 'running':
      return undefined
    case 'deleting':
    case 'deleted':
      return {
        status: 410,
        title: 'This sandbox has ended',
        error: new CoveError('sandbox-gone', `sandbox ${spec.id} has ended${why}`, context),
      }
    case 'failed':
      return {
        status: 410,
        title: 'This sandbox has failed',
        error: new CoveError('sandbox-gone', `sandbox ${spec.id} has failed${why}`, context),
      }
    case 'stopping':
    case 'stopped':
      return {
        status: 503,
        title: 'This sandbox is stopped',
        error: new CoveError('wrong-state', `sandbox ${spec.id} is ${state}`, context, {
          fix: `Start it with \`cove start ${spec.name ?? spec.id}\`.`,
        }),
      }
    case 'pausing':
    case 'paused':
      return {
        status: 503,
        title: 'This sandbox is paused',
        error: new CoveError('wrong-state', `sandbox ${spec.id} is ${state}`, context),
      }
    case 'lost':
      return {
        status: 503,
        title: 'This sandbox cannot be reached',
        retryAfter: 10,
        error: new CoveError('wrong-state', `the node of sandbox ${spec.id} does not answer`, context),
      }
    default:
      return {
        status: 503,
        title: 'This sandbox is starting',
        retryAfter: 2,
        error: new CoveError('wrong-state', `sandbox ${spec.id} is ${state}`, context, {
          fix: 'Try again in a moment.',
        }),
      }
  }
}

/** Everything else that can go wrong on the way in. */
export function problemOf(thrown: unknown): Problem {
  const error = thrown instanceof StatusError ? thrown.error : CoveError.from(thrown)
  const status = thrown instanceof StatusError ? thrown.status : ERROR_CODES[error.code].http
  switch (error.code) {
    case 'connection-refused':
      return { status, error, title: 'Nothing listens on this port', retryAfter: 2 }
    case 'connection-lost':
      return { status, error, title: 'The server in the sandbox gave no answer' }
    case 'deadline-exceeded':
      return { status, error, title: 'The server in the sandbox does not accept', retryAfter: 5 }
    case 'limit-reached':
      return { status: 503, error, title: 'Too many connections', retryAfter: 1 }
    case 'guest-unreachable':
    case 'stale-session':
    case 'busy':
    case 'wrong-state':
      return { status: 503, error, title: 'This sandbox cannot be reached just now', retryAfter: 2 }
    case 'sandbox-gone':
      return { status, error, title: 'This sandbox has ended' }
    case 'sandbox-not-found':
      return { status, error, title: 'There is no such sandbox' }
    case 'unauthenticated':
      return { status, error, title: 'This preview is private' }
    case 'permission-denied':
      return { status, error, title: status === 421 ? 'This host is not served here' : 'This is not allowed' }
    case 'rate-limited':
      return { status, error, title: 'Too many tries', retryAfter: 10 }
    default:
      return { status, error, title: status < 500 ? 'This request cannot be understood' : 'Something went wrong' }
  }
}
