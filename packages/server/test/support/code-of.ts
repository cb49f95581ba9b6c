import { ConnectError } from '@connectrpc/connect'
import { ErrorDetailSchema } from '@cove/api'

/** Cove's code in an error of Connect; the error as text when it has none. */
export function codeOf(error: unknown): string {
  if (!(error instanceof ConnectError)) return String(error)
  return error.findDetails(ErrorDetailSchema)[0]?.code ?? error.message
}
