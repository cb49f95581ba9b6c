import { Code, ConnectError } from '@connectrpc/connect'
import { CoveError, type ErrorCode } from '@cove/domain'

/** What containerd's status means; its own sentence is kept. */
export function containerdError(thrown: unknown, address: string, signal: AbortSignal | undefined): CoveError {
  if (thrown instanceof CoveError) return thrown
  if (signal?.aborted === true) return CoveError.from(signal.reason, 'cancelled')
  const error = ConnectError.from(thrown)
  if (isConnectionLoss(error)) return unreachable(error, address)
  const code = codeOf(error)
  const fix = code === 'container-not-found' ? { fix: 'It has been removed by somebody else; make it again.' } : {}
  return new CoveError(code, `containerd: ${error.rawMessage}`, { status: error.code }, { ...fix, cause: error })
}

/** containerd does not know what was named. */
export function isNotFound(error: unknown): boolean {
  return error instanceof CoveError && error.code === 'container-not-found'
}

/** containerd is not there (any more): what became of the call is unknown. */
export function isUnreachable(error: unknown): boolean {
  return error instanceof CoveError && error.context['unreachable'] === true
}

function isConnectionLoss(error: ConnectError): boolean {
  if (error.code === Code.Unavailable || error.code === Code.Aborted) return true
  // Nothing listens, or nobody may ask there: as this process tells it.
  if (/^connect E[A-Z]+ /.test(error.rawMessage)) return true
  // A session that ends under a call is told as cancelled, though nobody has cancelled it.
  return (
    error.code === Code.Canceled ||
    (error.code === Code.Internal && /http\/2|stream closed|GOAWAY/i.test(error.rawMessage))
  )
}

function unreachable(error: ConnectError, address: string): CoveError {
  const denied = /EACCES|permission denied/.test(error.rawMessage)
  if (denied) {
    return new CoveError(
      'permission-denied',
      'containerd may not be used by this user',
      { address },
      { fix: 'Run the daemon as root.', cause: error },
    )
  }
  return new CoveError(
    'driver-failed',
    `containerd does not answer (${error.rawMessage})`,
    { address, unreachable: true },
    { fix: 'Start it (`systemctl start containerd`), or name its socket in the settings.', cause: error },
  )
}

function codeOf(error: ConnectError): ErrorCode {
  if (/no space left|disk quota exceeded/i.test(error.rawMessage)) return 'no-space'
  switch (error.code) {
    case Code.NotFound:
      return 'container-not-found'
    case Code.AlreadyExists:
      return 'already-exists'
    case Code.FailedPrecondition:
      return 'wrong-state'
    case Code.InvalidArgument:
      return 'invalid-argument'
    case Code.PermissionDenied:
      return 'permission-denied'
    case Code.DeadlineExceeded:
      return 'deadline-exceeded'
    case Code.Unimplemented:
      return 'unsupported'
    default:
      return 'driver-failed'
  }
}
