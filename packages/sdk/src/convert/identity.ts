import { Role as WireRole } from '@cove/api'
import type { AuditEvent as WireEvent, GetCallerResponse, Key as WireKey, Project as WireProject } from '@cove/api'
import { CoveError, ROLES, type Role } from '@cove/domain'
import type { AuditEvent, CallerInfo, KeyInfo, ProjectInfo } from '../identity-info.ts'
import { dateOf } from './time.ts'

const ROLE_NUMBERS: Readonly<Record<Role, WireRole>> = {
  viewer: WireRole.VIEWER,
  member: WireRole.MEMBER,
  admin: WireRole.ADMIN,
}

/** 0, the server's default, for none. */
export const roleNumber = (role: Role | undefined): WireRole =>
  role === undefined ? WireRole.UNSPECIFIED : ROLE_NUMBERS[role]

export function roleOf(number: number): Role | undefined {
  return ROLES.find((role) => ROLE_NUMBERS[role] === number)
}

/** A role that this client is too old to know is shown as the weakest: nothing may be concluded from it. */
const knownRole = (number: number): Role => roleOf(number) ?? 'viewer'

export function callerInfo(wire: GetCallerResponse): CallerInfo {
  return {
    project: wire.project,
    role: knownRole(wire.role),
    key: wire.key,
    operator: wire.operator,
    ...(wire.sandbox === '' ? {} : { sandbox: wire.sandbox }),
  }
}

export function projectInfo(wire: WireProject | undefined): ProjectInfo {
  if (wire === undefined) throw new CoveError('internal', 'the server answered without a project')
  const createdAt = wire.createdAt === undefined ? new Date(0) : dateOf(wire.createdAt)
  return { name: wire.name, description: wire.description, createdAt }
}

export function keyInfo(wire: WireKey | undefined): KeyInfo {
  if (wire === undefined) throw new CoveError('internal', 'the server answered without a key')
  return {
    id: wire.id,
    project: wire.project,
    name: wire.name,
    role: knownRole(wire.role),
    createdAt: wire.createdAt === undefined ? new Date(0) : dateOf(wire.createdAt),
    ...(wire.expiresAt === undefined ? {} : { expiresAt: dateOf(wire.expiresAt) }),
    ...(wire.revokedAt === undefined ? {} : { revokedAt: dateOf(wire.revokedAt) }),
    ...(wire.lastUsedAt === undefined ? {} : { lastUsedAt: dateOf(wire.lastUsedAt) }),
    prefix: wire.prefix,
  }
}

export function auditEvent(wire: WireEvent): AuditEvent {
  const role = roleOf(wire.role)
  return {
    id: wire.id,
    at: wire.at === undefined ? new Date(0) : dateOf(wire.at),
    project: wire.project,
    key: wire.key,
    ...(role === undefined ? {} : { role }),
    action: wire.action,
    target: wire.target,
    details: { ...wire.details },
    from: wire.from,
    outcome: wire.outcome,
    requestId: wire.requestId,
  }
}
