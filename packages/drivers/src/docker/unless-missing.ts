import { CoveError } from '@cove/domain'

/** For `catch`: a container that is not there is undefined, and everything else an error still. */
export function unlessMissing(error: unknown): undefined {
  if (CoveError.from(error).code !== 'container-not-found') throw error
}
