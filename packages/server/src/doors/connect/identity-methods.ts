import type { MessageInitShape } from '@bufbuild/protobuf'
import { timestampFromMs, timestampMs } from '@bufbuild/protobuf/wkt'
import {
  Role as WireRole,
  type AuditEventSchema,
  type IdentityService,
  type KeySchema,
  type ListAuditEventsRequest,
  type ProjectSchema,
} from '@cove/api'
import type { Role } from '@cove/domain'
import type { AuditQuery, AuditRecord, AuditTrail } from '../../audit/audit-trail.ts'
import type { Principal } from '../../auth/principal.ts'
import type { KnownKey } from '../../identity/access-view.ts'
import type { Identity } from '../../identity/identity.ts'
import { requireProject } from '../../identity/keys.ts'
import { requireOperator } from '../../identity/projects.ts'
import type { KeyRecord, ProjectRecord } from '../../identity/records.ts'
import { bad } from '../../sandboxes/request.ts'
import type { Sandboxes } from '../../sandboxes/sandboxes.ts'
import type { Methods } from './call.ts'
import { checkRef, parseExpiry } from './from-wire.ts'

const ROLES: ReadonlyMap<WireRole, Role> = new Map([
  [WireRole.VIEWER, 'viewer'],
  [WireRole.MEMBER, 'member'],
  [WireRole.ADMIN, 'admin'],
])

const WIRE_ROLES: Readonly<Record<Role, WireRole>> = {
  viewer: WireRole.VIEWER,
  member: WireRole.MEMBER,
  admin: WireRole.ADMIN,
}

const MINUTE_MS = 60_000
const DEFAULT_PAGE = 100
const LARGEST_PAGE = 1_000

export function identityMethods(
  identity: Identity,
  sandboxes: Sandboxes,
  audit: AuditTrail,
): Methods<typeof IdentityService> {
  const { projects, keys, tokens } = identity
  return {
    async getCaller(_request, { caller }) {
      const { project, role, key, operator, sandbox = '' } = caller
      return { project, role: WIRE_ROLES[role], key, operator, sandbox }
    },
    async createProject({ name, description }, { caller }) {
      return { project: toProject(await projects.create(caller, { name, description })) }
    },
    async listProjects(_request, { caller }) {
      return { projects: projects.list(caller).map(toProject) }
    },
    async deleteProject({ name }, { caller }) {
      await projects.delete(caller, name)
      return {}
    },
    async createKey({ project, name, role, expiresIn }, { caller }) {
      const ms = parseExpiry(expiresIn, 'expiresIn')
      const { record, secret } = await keys.create(caller, {
        project: project === '' ? caller.project : project,
        name,
        role: parseRole(role),
        ...(ms === undefined ? {} : { expiresIn: ms }),
      })
      return { key: toKey(record), secret }
    },
    async listKeys({ project, includeEnded }, { caller }) {
      const known = keys.list(caller, project === '' ? caller.project : project, includeEnded)
      return { keys: known.map(({ record, lastUsedAt }) => toKey(record, lastUsedAt)) }
    },
    async revokeKey({ id }, { caller }) {
      const { record, lastUsedAt }: KnownKey = await keys.revoke(caller, id)
      return { key: toKey(record, lastUsedAt) }
    },
    async createSandboxToken({ sandbox: ref, role, expiresIn }, { caller }) {
      const ms = parseExpiry(expiresIn, 'expiresIn')
      const sandbox = await sandboxes.get(caller, checkRef(ref))
      const { token, expiresAt } = tokens.make(caller, sandbox, parseRole(role), ms)
      return { token, expiresAt: timestampFromMs(expiresAt) }
    },
    async listAuditEvents(request, { caller }) {
      const { records, next = '' } = await audit.list(parseAuditQuery(request, caller))
      return { events: records.map(toEvent), nextPageToken: next }
    },
  }
}

function parseAuditQuery(request: ListAuditEventsRequest, caller: Principal): AuditQuery {
  const { project, key, action, target, since, until, failed, pageSize, pageToken } = request
  if (project === '*') requireOperator(caller)
  else if (project !== '') requireProject(caller, project)
  if (pageSize > LARGEST_PAGE) throw bad('pageSize', `must be 1 to ${LARGEST_PAGE}`)
  return {
    ...(project === '*' ? {} : { project: project === '' ? caller.project : project }),
    ...(key === '' ? {} : { key }),
    ...(action === '' ? {} : { action }),
    ...(target === '' ? {} : { target }),
    ...(since === undefined ? {} : { since: timestampMs(since) }),
    ...(until === undefined ? {} : { until: timestampMs(until) }),
    failed,
    size: pageSize === 0 ? DEFAULT_PAGE : pageSize,
    ...(pageToken === '' ? {} : { token: pageToken }),
  }
}

function toEvent({ at, role, details, ...texts }: AuditRecord): MessageInitShape<typeof AuditEventSchema> {
  return { ...texts, at: timestampFromMs(at), role: WIRE_ROLES[role], details: { ...details } }
}

function parseRole(role: WireRole): Role {
  if (role === WireRole.UNSPECIFIED) return 'member'
  const known = ROLES.get(role)
  if (known === undefined) throw bad('role', `has the unknown value ${role}`)
  return known
}

function toProject({ name, description, createdAt }: ProjectRecord): MessageInitShape<typeof ProjectSchema> {
  return { name, description, createdAt: timestampFromMs(createdAt) }
}

function toKey(record: KeyRecord, lastUsedAt = 0): MessageInitShape<typeof KeySchema> {
  const { id, project, name, role, prefix, createdAt, expiresAt, revokedAt } = record
  return {
    id,
    project,
    name,
    role: WIRE_ROLES[role],
    prefix,
    createdAt: timestampFromMs(createdAt),
    ...(expiresAt === undefined ? {} : { expiresAt: timestampFromMs(expiresAt) }),
    ...(revokedAt === undefined ? {} : { revokedAt: timestampFromMs(revokedAt) }),
    ...(lastUsedAt === 0 ? {} : { lastUsedAt: timestampFromMs(lastUsedAt - (lastUsedAt % MINUTE_MS)) }),
  }
}
