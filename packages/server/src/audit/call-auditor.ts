import { CoveError, type Clock, type ErrorCode } from '@cove/domain'
import type { Principal } from '../auth/principal.ts'
import { RateLimiter, type Rate } from '../auth/rate-limiter.ts'
import type { Audit, AuditEntry } from './audit.ts'
import { auditRule, detailText, nameOf, type AuditRule, type Fields } from './audited-methods.ts'

export interface Audited {
  readonly caller: Principal
  readonly requestId: string
  readonly from: string
}

/** One call that will be written down once, with how it ended. */
export interface AuditNote {
  ok(answer: unknown): void
  failed(error: unknown): void
}

/** What calls end with that have changed nothing, and that cost their caller nothing either. */
const REFUSED: ReadonlySet<string> = new Set<ErrorCode>([
  'invalid-argument',
  'path-invalid',
  'permission-denied',
  'sandbox-gone',
  'sandbox-not-found',
])
/** Of these are written down, for each key: whoever may do nothing must not be able to push out what others did. */
const NOTED: Rate = { perSecond: 1, burst: 100 }

/** Writes down what came of calls, whatever door they came through. */
export class CallAuditor {
  readonly #refusals: RateLimiter
  readonly #audit: Audit
  readonly #clock: Clock
  readonly #sandboxId: (caller: Principal, ref: string) => string

  /** `sandboxId` turns a name into an id where it is known, and answers with what it was given where not. */
  constructor(audit: Audit, clock: Clock, sandboxId: (caller: Principal, ref: string) => string) {
    this.#audit = audit
    this.#clock = clock
    this.#sandboxId = sandboxId
    this.#refusals = new RateLimiter(NOTED, clock)
  }

  /** For a method of the protocol; undefined when it only looks. */
  method(service: string, method: string): ((request: unknown, call: Audited) => AuditNote) | undefined {
    const rule = auditRule(service, method)
    if (rule === undefined) return undefined
    const action = nameOf(service, method)
    return (request, call) => this.#note(action, rule, request as Fields, call)
  }

  /** For a call on a sandbox that is no method of the protocol. */
  onSandbox(
    action: string,
    ref: string,
    details: Readonly<Record<string, string | undefined>>,
    call: Audited,
  ): AuditNote {
    return this.#note(action, { sandbox: 'ref', details: Object.keys(details) }, { ...details, ref }, call)
  }

  /** For a call on anything else; what is made says its `id` in the answer. */
  onOther(
    action: string,
    ref: string,
    details: Readonly<Record<string, string | undefined>>,
    call: Audited,
  ): AuditNote {
    const rule: AuditRule = { target: 'ref', made: ({ id }) => id, details: Object.keys(details) }
    return this.#note(action, rule, { ...details, ref }, call)
  }

  #note(action: string, rule: AuditRule, request: Fields, { caller, requestId, from }: Audited): AuditNote {
    const { key, role } = caller
    const details: Record<string, string> = {}
    for (const name of rule.details ?? []) {
      const text = detailText(name, request[name])
      if (text !== undefined) details[name] = text
    }
    const named = request[rule.sandbox ?? rule.target ?? '']
    const known = typeof named === 'string' ? named : ''
    const target = rule.sandbox === undefined ? known : this.#sandboxId(caller, known)
    let noted = false
    const write = (outcome: string, facts: Pick<AuditEntry, 'project' | 'target' | 'details'>): void => {
      if (noted) return
      noted = true
      if (REFUSED.has(outcome) && this.#refusals.take(caller.issuer ?? key) > 0) return
      this.#audit.record({ at: this.#clock.now(), key, role, action, from, outcome, requestId, ...facts })
    }
    return {
      ok: (answer) => {
        const told = answer as Fields
        write('ok', {
          project: textOr(rule.project?.(told), caller.project),
          target: textOr(rule.made?.(told), target),
          details: { ...details, ...rule.after?.(told) },
        })
      },
      failed: (error) => write(CoveError.from(error).code, { project: caller.project, target, details }),
    }
  }
}

const textOr = (value: unknown, otherwise: string): string => (typeof value === 'string' ? value : otherwise)
