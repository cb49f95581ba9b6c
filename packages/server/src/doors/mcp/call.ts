import type { Principal } from '../../auth/principal.ts'
import type { McpHouse } from './house.ts'
import type { Progress } from './progress.ts'

/** Who sent an HTTP request, and what finds it again in the log. */
export interface Sender {
  readonly principal: Principal
  readonly requestId: string
  /** Address of the other end. */
  readonly from: string
  /** Under which name, with its port, the client has reached the server. */
  readonly host: string | undefined
  /** Resolves when the answer was taken, or nobody is there any more to take it. */
  readonly answered: Promise<void>
}

/** One call of a tool, on its way. */
export interface ToolCall extends McpHouse {
  readonly caller: Principal
  readonly host: string | undefined
  /** Aborts when the client cancels, its key ends, or the daemon gives up waiting. */
  readonly signal: AbortSignal
  readonly progress: Progress
  /** Counts bytes of the answer until it was taken; throws `busy` where all answers together have too many. */
  readonly hold: (bytes: number) => void
  /** What the audit log is told; never content, never a secret. */
  readonly noted: Noted
}

export interface Noted {
  /** Id of the environment, as soon as it is known. */
  target: string
  readonly details: Record<string, string>
}
