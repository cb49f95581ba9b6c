import { CoveError, ERROR_CODES } from '@cove/domain'
import { ErrorDetailSchema } from '@cove/api'
import { ConnectError } from '@connectrpc/connect'
import { retryAfter } from '../../auth/rate-limiter.ts'

/** The same error in the dialect of Connect and gRPC, with everything a program needs as its detail. */
export function toConnectError(thrown: unknown, requestId: string): ConnectError {
  if (thrown instanceof ConnectError) return thrown
  const error = CoveError.from(thrown)
  const { code, message, fix, context, transient } = error
  const wait = retryAfter(error)
  const texts = Object.entries(context).map(([name, value]) => [name, String(value)] as const)
  return new ConnectError(
    message,
    ERROR_CODES[code].grpc,
    wait === undefined ? undefined : { 'retry-after': String(wait) },
    [{ desc: ErrorDetailSchema, value: { code, fix, transient, requestId, context: Object.fromEntries(texts) } }],
    thrown,
  )
}
