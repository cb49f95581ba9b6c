import { CoveError } from '@cove/domain'
import type { Scope } from './principal.ts'

/** For what belongs to the project: a token for one sandbox opens that sandbox and nothing else. */
export function refuseTokens({ sandbox }: Scope): void {
  if (sandbox === undefined) return
  throw new CoveError(
    'permission-denied',
    'a token for one sandbox opens nothing else of its project',
    { sandbox },
    { fix: 'Use a key of the project.' },
  )
}
