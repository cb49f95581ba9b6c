import type { Clock, Limits, Log, NodeClient, Random, Store, Timeout } from '@cove/domain'
import type { AuditTrail } from './audit/audit-trail.ts'
import type { KeyRing } from './auth/key-ring.ts'
import type { McpOptions } from './doors/mcp/mcp-options.ts'

/** Bounds on what clients and time can make grow. */
export interface ServerLimits {
  /** Live sandboxes of one project; failed ones do not count. */
  readonly sandboxesPerProject: number
  /** API keys of one project that have not ended. */
  readonly keysPerProject: number
  readonly projects: number
  /** Calls per second of one key or sandbox token, and of one address without a key; 0 for no limit. */
  readonly callsPerSecond: number
  /** Calls of these at once, after a rest. */
  readonly callBurst: number
  /** Calls and streams of one key or sandbox under way at once, and of signed addresses used from one address. */
  readonly callsUnderWay: number
  /** Milliseconds that an ended or failed sandbox is remembered with its reason. */
  readonly tombstoneMs: number
  /** Ended sandboxes remembered at once; the oldest go first. Failed ones have the same bound. */
  readonly tombstones: number
  /** Milliseconds that an idempotency key holds. */
  readonly idempotencyMs: number
  /** Idempotency keys remembered at once; the oldest go first. */
  readonly idempotencyKeys: number
  /** Milliseconds that a node may be silent while it makes one machine; twelve times that in all. */
  readonly createMs: number
  /** Bytes of one unary request. */
  readonly unaryBytes: number
  /** Milliseconds for the whole body of a unary request. */
  readonly unaryBodyMs: number
  /** Bytes of the headers of one request. */
  readonly headerBytes: number
  readonly connections: number
  /** Milliseconds for a connection to show its first bytes and for each request's headers. */
  readonly headersMs: number
  /** Milliseconds that a connection without a request is kept. */
  readonly idleConnectionMs: number
  /** Milliseconds that an upload may stand still. */
  readonly stalledUploadMs: number
  /** Milliseconds of silence after which a stream sends a sign of life. */
  readonly keepAliveMs: number
}

export const DEFAULT_LIMITS: ServerLimits = {
  sandboxesPerProject: 100,
  keysPerProject: 1_000,
  projects: 1_000,
  callsPerSecond: 2_000,
  callBurst: 4_000,
  callsUnderWay: 2_000,
  tombstoneMs: 24 * 3_600_000,
  tombstones: 10_000,
  idempotencyMs: 24 * 3_600_000,
  idempotencyKeys: 50_000,
  createMs: 300_000,
  unaryBytes: 4 * 1024 * 1024,
  unaryBodyMs: 60_000,
  headerBytes: 16 * 1024,
  connections: 4_096,
  headersMs: 10_000,
  idleConnectionMs: 75_000,
  stalledUploadMs: 60_000,
  keepAliveMs: 15_000,
}

/** What a create that says nothing gets. */
export interface ServerDefaults {
  readonly template: string
  readonly idleTimeoutMs: Timeout
  readonly lifetimeMs: Timeout
  /** For what the request does not name: enforced where the driver can, and never a reason to refuse. */
  readonly limits: Limits
}

export const DEFAULT_DEFAULTS: ServerDefaults = {
  template: 'host',
  idleTimeoutMs: 30 * 60_000,
  lifetimeMs: 'never',
  limits: {},
}

export interface Template {
  readonly name: string
  readonly description: string
  readonly source: string
}

export const HOST_TEMPLATE: Template = {
  name: 'host',
  description: "the host's own programs, read-only, under a writable layer of the sandbox's own",
  source: 'host',
}

export interface ServerOptions {
  readonly store: Store
  readonly node: NodeClient
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly version: string
  /** Names this installation; the same after every restart. */
  readonly installation: string
  /** The keys that the store does not have: the operator's. */
  readonly keys: KeyRing
  /** Where calls are written down; without it the last thousand are kept in memory. */
  readonly audit?: AuditTrail
  readonly limits?: Partial<ServerLimits>
  readonly defaults?: Partial<ServerDefaults>
  readonly templates?: readonly Template[]
  /** Host names that clients may use besides loopback names and IP addresses. */
  readonly allowedHosts?: readonly string[]
  readonly mcp?: McpOptions
  /** Under which every port of a sandbox has a host name of its own. Default `localhost`. */
  readonly previewDomain?: string
  /** Where browsers reach the server when something stands in front of it: scheme and port of preview addresses. */
  readonly publicUrl?: string
}
