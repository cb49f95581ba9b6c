export type { Audit, AuditEntry } from './audit/audit.ts'
export type { AuditPage, AuditQuery, AuditRecord, AuditTrail } from './audit/audit-trail.ts'
export { FileAudit, type FileAuditOptions } from './audit/file-audit.ts'
export { hashKey, keyRing, operatorKey, type KeyRing, type StoredKey } from './auth/key-ring.ts'
export type { Principal, Scope } from './auth/principal.ts'
export type { McpFixtures, McpOptions } from './doors/mcp/mcp-options.ts'
export { DEFAULT_MCP_SETTINGS, MCP_LIMITS, type McpSettings } from './doors/mcp/settings.ts'
export { MetricsRegistry } from './metrics/registry.ts'
export {
  DEFAULT_DEFAULTS,
  DEFAULT_LIMITS,
  HOST_TEMPLATE,
  type ServerDefaults,
  type ServerLimits,
  type ServerOptions,
  type Template,
} from './options.ts'
export { parseInstaller, parseInterpreter, type RuntimeCommand, type RuntimeCommands } from './runtimes/commands.ts'
export { openRuntimes, type RuntimesOptions } from './runtimes/open-runtimes.ts'
export type { CodeResult, InstallPackages, KeptOutput, RunCode, RuntimeName, Runtimes } from './runtimes/runtimes.ts'
export { openServer, type CoveServer } from './server.ts'
export type { CreateRequest } from './sandboxes/request.ts'
export type { Filter, Page, PageRequest } from './sandboxes/query.ts'
export type { GuestLease, Sandboxes } from './sandboxes/sandboxes.ts'
export type { WatchEvent } from './sandboxes/watch.ts'
