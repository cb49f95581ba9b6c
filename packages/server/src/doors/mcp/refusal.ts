import type { CoveError } from '@cove/domain'
import { rpcError } from './rpc-error.ts'

/** An answer that is given instead of the service's. */
export class Refusal extends Error {
  readonly response: Response

  constructor(status: number, code: number, error: CoveError) {
    super(error.message)
    this.response = rpcError(status, code, error)
  }
}
