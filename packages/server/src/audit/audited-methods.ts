import { Role, SignFileUrlRequest_Operation as Operation } from '@cove/api'

/** What is written down of a call. Never content, arguments, environments or secrets. */
export interface AuditRule {
  /** Field of the request that names a sandbox, by id or name. */
  readonly sandbox?: string
  /** Field of the request that is the target as it stands. */
  readonly target?: string
  /** What the answer says the target is. */
  readonly made?: (answer: Fields) => unknown
  /** What the answer says the project is, where the operator may name another than the caller's. */
  readonly project?: (answer: Fields) => unknown
  /** Fields of the request. */
  readonly details?: readonly string[]
  /** More facts from the answer. */
  readonly after?: (answer: Fields) => Readonly<Record<string, string>>
}

export type Fields = Readonly<Record<string, unknown>>

const FILE: AuditRule = { sandbox: 'sandbox', details: ['path', 'user'] }
const PROCESS: AuditRule = { sandbox: 'sandbox', details: ['processId'] }
const PORT: AuditRule = { sandbox: 'sandbox', details: ['port', 'public'] }

/** Every method that changes something or gives a permission. The rest only look; a test holds that all are decided. */
const AUDITED: Readonly<Record<string, AuditRule>> = {
  'SandboxService/CreateSandbox': { made: partOf('sandbox', 'id'), details: ['name', 'template'] },
  'SandboxService/StopSandbox': { sandbox: 'id' },
  'SandboxService/StartSandbox': { sandbox: 'id' },
  'SandboxService/UpdateSandboxTimeouts': { sandbox: 'id' },
  'SandboxService/PauseSandbox': { sandbox: 'id' },
  'SandboxService/ResumeSandbox': { sandbox: 'id' },
  'SandboxService/ForkSandbox': { sandbox: 'id', details: ['count'] },
  'SandboxService/UpdateSandboxLimits': { sandbox: 'id' },
  'SnapshotService/CreateSnapshot': { sandbox: 'sandbox', details: ['name', 'kind'] },
  'SnapshotService/DeleteSnapshot': { target: 'id' },
  'VolumeService/CreateVolume': { made: partOf('volume', 'id'), details: ['name'] },
  'VolumeService/DeleteVolume': { target: 'id' },
  'ImageService/PullImage': { target: 'source' },
  'ImageService/DeleteImage': { target: 'id' },
  'ImageService/PruneImages': {},
  'PoolService/SetPool': { target: 'name', details: ['template', 'min', 'max'] },
  'PoolService/DeletePool': { target: 'name' },
  'SandboxService/DeleteSandbox': { sandbox: 'id' },
  'ProcessService/StartProcess': { sandbox: 'sandbox' },
  'ProcessService/RunProcess': { sandbox: 'sandbox' },
  'ProcessService/WriteStdin': PROCESS,
  'ProcessService/SignalProcess': { sandbox: 'sandbox', details: ['processId', 'signal'] },
  'ProcessService/ResizeTerminal': PROCESS,
  'FileService/MakeDirectory': FILE,
  'FileService/MoveFile': { sandbox: 'sandbox', details: ['from', 'to', 'user'] },
  'FileService/RemoveFile': { sandbox: 'sandbox', details: ['path', 'recursive', 'user'] },
  'FileService/ChangeMode': FILE,
  'FileService/MakeSymlink': { sandbox: 'sandbox', details: ['path', 'target', 'user'] },
  'FileService/SignFileUrl': { sandbox: 'sandbox', details: ['path', 'operation', 'user'] },
  'PortService/SharePort': PORT,
  'PortService/UnsharePort': PORT,
  'PortService/CreatePreviewUrl': PORT,
  'TemplateService/BuildTemplate': { target: 'name', details: ['source', 'driver'], after: builtBy },
  'TemplateService/CancelBuild': { target: 'build' },
  'TemplateService/DeleteTemplate': { target: 'name' },
  'IdentityService/CreateProject': { target: 'name' },
  'IdentityService/DeleteProject': { target: 'name' },
  'IdentityService/CreateKey': {
    made: partOf('key', 'id'),
    project: partOf('key', 'project'),
    details: ['name', 'role'],
  },
  'IdentityService/RevokeKey': { target: 'id', project: partOf('key', 'project') },
  'IdentityService/CreateSandboxToken': {
    sandbox: 'sandbox',
    details: ['role'],
    // The part of it that names it in later entries; not what makes it open anything.
    after: ({ token }) => (typeof token === 'string' ? { token: token.slice(9, 25) } : {}),
  },
}

/** Calls that look, although the protocol does not say so of streams. */
const LOOKS: ReadonlySet<string> = new Set([
  'SandboxService/WatchSandboxes',
  'ProcessService/AttachProcess',
  'FileService/ListFiles',
  'FileService/WatchFiles',
  'TemplateService/FollowBuild',
  'SystemService/Diagnose',
])

/** `service` is the full name of the protocol. Undefined for what only looks. */
export function auditRule(service: string, method: string): AuditRule | undefined {
  return AUDITED[nameOf(service, method)]
}

/** True when somebody has decided that it only looks. */
export const onlyLooks = (service: string, method: string): boolean => LOOKS.has(nameOf(service, method))

export const nameOf = (service: string, method: string): string => `${service.replace(/^cove\.v1\./, '')}/${method}`

const ROLE_NAMES: ReadonlyMap<unknown, string> = new Map([
  [Role.UNSPECIFIED, 'member'],
  [Role.VIEWER, 'viewer'],
  [Role.MEMBER, 'member'],
  [Role.ADMIN, 'admin'],
])

/** A detail as text; undefined when there is nothing to say. */
export function detailText(name: string, value: unknown): string | undefined {
  if (name === 'role') return ROLE_NAMES.get(value)
  if (name === 'operation') return value === Operation.WRITE ? 'write' : 'read'
  if (value === undefined || value === '' || value === false) return undefined
  return typeof value === 'string' || typeof value === 'number' || value === true ? String(value) : undefined
}

function builtBy({ build }: Fields): Readonly<Record<string, string>> {
  return typeof build === 'string' ? { build } : {}
}

function partOf(part: string, name: string): (answer: Fields) => unknown {
  return (answer) => (answer[part] as Fields | undefined)?.[name]
}
