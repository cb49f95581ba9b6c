import type { Timeout } from '@cove/domain'

/** What the MCP door lets its callers have. */
export interface McpSettings {
  /** Live environments of one project that were made by this door; failed ones do not count. */
  readonly maxEnvironments: number
  /** Milliseconds from the last activity to the end of an environment that names no timeout. */
  readonly idleMs: Timeout
  /** The longest that a caller may ask for. */
  readonly maxIdleMs: Timeout
  /** Milliseconds for code that names no timeout. */
  readonly execMs: number
  /** A caller that asks for longer gets this, and is told. */
  readonly maxExecMs: number
  /** Milliseconds for one installation of packages. */
  readonly installMs: number
  /** Milliseconds until an environment has to run. */
  readonly bootMs: number
  /** Bytes kept of each stream of output, half of them from each end. */
  readonly outputBytes: number
  /** What an environment may reach when its creator says nothing. */
  readonly network: 'none' | 'internet'
  /** Bytes of memory that files which are being read take, all together, until their readers have them. */
  readonly filesBytes: number
}

export const DEFAULT_MCP_SETTINGS: McpSettings = {
  maxEnvironments: 10,
  idleMs: 30 * 60_000,
  maxIdleMs: 60 * 60_000,
  execMs: 30_000,
  maxExecMs: 5 * 60_000,
  installMs: 5 * 60_000,
  bootMs: 2 * 60_000,
  outputBytes: 32 * 1024,
  network: 'none',
  filesBytes: 512 * 1024 * 1024,
}

/** Bounds that stand whatever the settings are. */
export const MCP_LIMITS = {
  /** Bytes of code of one `execute`. */
  codeBytes: 512_000,
  /** Bytes of one file, in both directions. */
  fileBytes: 10 * 1024 * 1024,
  /** Bytes of one HTTP request: a whole file in base64 with room to spare. */
  bodyBytes: 32 * 1024 * 1024,
  /** Bytes of a request that is not counted: together they are bounded by the number of connections. */
  smallBodyBytes: 1024 * 1024,
  /** Bytes of all larger requests that are being read or answered. */
  allBodyBytes: 256 * 1024 * 1024,
  /** Entries of one listing. */
  entries: 1_000,
  sessions: 1_024,
  sessionsPerKey: 128,
  /** Milliseconds that a session without a request is kept. */
  sessionIdleMs: 24 * 3_600_000,
  /** Streams on which clients wait for news. */
  subscriptions: 1_024,
} as const
