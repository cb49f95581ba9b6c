import type { Sandbox, SandboxSpec, SandboxState } from '@cove/domain'
import type { Scope } from '../auth/principal.ts'
import { bad } from './request.ts'
import type { SandboxView } from './view.ts'

export interface Filter {
  /** Empty: all. */
  readonly states: readonly SandboxState[]
  /** All of these labels with these values. */
  readonly labels: Readonly<Record<string, string>>
  readonly template?: string
  readonly name?: string
  readonly includeDeleted: boolean
}

export interface PageRequest {
  readonly filter: Filter
  /** 1 to 1,000. */
  readonly size: number
  /** From the page before. */
  readonly token?: string
}

export interface Page {
  readonly sandboxes: readonly Sandbox[]
  readonly next?: string
}

/** Sandboxes of other projects do not exist for a caller, and for a token of one sandbox no other does. */
export function sees({ project, sandbox }: Scope, spec: SandboxSpec): boolean {
  return spec.project === project && (sandbox === undefined || sandbox === spec.id)
}

export function matches(sandbox: Sandbox, filter: Filter): boolean {
  const { spec, status } = sandbox
  if (status.state === 'deleted' && !filter.includeDeleted && !filter.states.includes('deleted')) return false
  if (filter.states.length > 0 && !filter.states.includes(status.state)) return false
  if (filter.template !== undefined && spec.template !== filter.template) return false
  if (filter.name !== undefined && spec.name !== filter.name) return false
  return Object.entries(filter.labels).every(([key, value]) => spec.labels[key] === value)
}

/** Newest first. A page continues behind the last one's last sandbox, so what is created meanwhile moves nothing. */
export function listPage(view: SandboxView, scope: Scope, { filter, size, token }: PageRequest): Page {
  const sandboxes: Sandbox[] = []
  for (const sandbox of view.newestFirst(token === undefined ? undefined : decodeToken(token))) {
    if (!sees(scope, sandbox.spec) || !matches(sandbox, filter)) continue
    const last = sandboxes.at(-1)
    if (sandboxes.length === size && last !== undefined) return { sandboxes, next: encodeToken(last) }
    sandboxes.push(sandbox)
  }
  return { sandboxes }
}

function encodeToken({ spec }: Sandbox): string {
  return Buffer.from(`${spec.createdAt} ${spec.id}`).toString('base64url')
}

function decodeToken(token: string): { createdAt: number; id: string } {
  const [, createdAt, id] = /^(\d{1,15}) ([a-z2-7]{16})$/.exec(Buffer.from(token, 'base64url').toString('latin1')) ?? []
  if (createdAt === undefined || id === undefined) throw bad('pageToken', 'is not one that a list answered with')
  return { createdAt: Number(createdAt), id }
}
