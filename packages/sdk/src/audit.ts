import { IdentityService } from '@cove/api'
import { auditEvent } from './convert/identity.ts'
import { timestampOf } from './convert/time.ts'
import type { AuditEvent } from './identity-info.ts'
import { Pages } from './pages.ts'
import type { Rpc } from './wire/rpc.ts'

/** Which events are listed; what is left out does not matter. */
export interface AuditFilter {
  /** Default the caller's; `*` for all, for the operator. */
  readonly project?: string
  /** Id of the key or token that was used. */
  readonly key?: string
  /** What the action begins with, such as `SandboxService/`. */
  readonly action?: string
  /** Id of a sandbox or key, or name of a project. */
  readonly target?: string
  /** Not before this moment. */
  readonly since?: Date
  /** Before this moment. */
  readonly until?: Date
  /** Only calls that failed. Default false. */
  readonly failed?: boolean
  /** Events asked for at once: 1 to 1,000. Default 100. */
  readonly pageSize?: number
  readonly signal?: AbortSignal
}

/** The log of everything that was changed, or was refused. For admins; others get `permission-denied`. */
export class Audit {
  readonly #rpc: Rpc

  /** @internal */
  constructor(rpc: Rpc) {
    this.#rpc = rpc
  }

  /** Newest first: `for await` over events, or `.pages()`. */
  list(filter: AuditFilter = {}): Pages<AuditEvent> {
    const { since, until, signal } = filter
    const call = signal === undefined ? {} : { signal }
    return new Pages(async (pageToken) => {
      const request = {
        project: filter.project ?? '',
        key: filter.key ?? '',
        action: filter.action ?? '',
        target: filter.target ?? '',
        ...(since === undefined ? {} : { since: timestampOf(since) }),
        ...(until === undefined ? {} : { until: timestampOf(until) }),
        failed: filter.failed ?? false,
        pageSize: filter.pageSize ?? 0,
        pageToken,
      }
      const answer = await this.#rpc.unary(IdentityService.method.listAuditEvents, request, call)
      return { items: answer.events.map(auditEvent), next: answer.nextPageToken }
    })
  }
}
