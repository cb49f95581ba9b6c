import type { CoveError } from '@cove/domain'
import { endedError } from '../../sandboxes/ledger.ts'
import type { ToolCall } from './call.ts'

/** An environment that ended under a call is only seen as a link that broke: says that it ended, and why. */
export async function explain(error: CoveError, { sandboxes, caller, noted }: ToolCall): Promise<CoveError> {
  if (error.code !== 'guest-unreachable' || noted.target === '') return error
  const sandbox = await sandboxes.get(caller, noted.target).catch(() => undefined)
  switch (sandbox?.status.state) {
    case 'deleting':
    case 'deleted':
    case 'failed':
      return endedError(noted.target, sandbox)
    default:
      return error
  }
}
