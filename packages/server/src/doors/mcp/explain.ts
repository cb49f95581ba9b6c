import type { CoveError, Sandbox } from '@cove/domain'
import { endedError } from '../../sandboxes/ledger.ts'
import type { ToolCall } from './call.ts'

const ENDED: ReadonlySet<string> = new Set(['deleting', 'deleted', 'failed'])

/** An environment that ended under a call is only seen as a link that broke: says that it ended, and why. */
export async function explain(error: CoveError, { sandboxes, caller, noted }: ToolCall): Promise<CoveError> {
  if (error.code !== 'guest-unreachable' || noted.target === '') return error
  let sandbox: Sandbox
  try {
    sandbox = await sandboxes.get(caller, noted.target)
  } catch {
    return error
  }
  return ENDED.has(sandbox.status.state) ? endedError(noted.target, sandbox) : error
}
