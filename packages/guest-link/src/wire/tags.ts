/** Numbers of the operations and tags of the fields, as `docs/guest-protocol.md` lists them. */

export const PROTOCOL = { newest: 1, oldest: 1 } as const

export const OPERATION = {
  start: 1,
  attach: 2,
  processes: 3,
  stdin: 4,
  signal: 5,
  resize: 6,
  read: 10,
  write: 11,
  stat: 12,
  list: 13,
  makeDirectory: 14,
  move: 15,
  remove: 16,
  chmod: 17,
  symlink: 18,
  watch: 19,
  dial: 20,
  metrics: 30,
  configure: 31,
  quiesce: 32,
  shutdown: 33,
} as const
export type Operation = (typeof OPERATION)[keyof typeof OPERATION]

export const HELLO = { newest: 1, oldest: 2, epoch: 3, token: 4, daemon: 5 } as const
export const WELCOME = { version: 1, agentVersion: 2, instance: 3, newest: 4, maxPayload: 5 } as const
export const ERROR = { code: 1, message: 2, errno: 3 } as const
export const OPEN = { operation: 1, window: 250 } as const

export const START = {
  id: 2,
  argv: 3,
  env: 4,
  cwd: 5,
  user: 6,
  rows: 7,
  columns: 8,
  stdin: 9,
  timeoutMs: 10,
  graceMs: 11,
} as const
export const ATTACH = { id: 2, from: 3 } as const
export const STDIN = { id: 2, close: 3 } as const
export const SIGNAL = { id: 2, number: 3 } as const
export const RESIZE = { id: 2, rows: 3, columns: 4 } as const

/** All file operations have the path and the user in the same place. */
export const PATH = { path: 2, user: 5 } as const
export const READ = { offset: 3, length: 4 } as const
export const WRITE = { mode: 3, parents: 4 } as const
export const LIST = { depth: 3 } as const
export const MAKE_DIRECTORY = { mode: 3, parents: 4 } as const
export const MOVE = { to: 3 } as const
export const REMOVE = { recursive: 3, force: 4 } as const
export const CHMOD = { mode: 3 } as const
export const SYMLINK = { target: 3 } as const
export const WATCH = { recursive: 3 } as const
export const DIAL = { port: 2, host: 3, unix: 4 } as const

export const CONFIGURE = { hostname: 2, env: 3, entropy: 4, clock: 5, token: 6, user: 7, workdir: 8 } as const
export const QUIESCE = { on: 2 } as const
export const SHUTDOWN = { graceMs: 2 } as const

export const PROCESS = {
  id: 1,
  pid: 2,
  argv: 3,
  cwd: 4,
  user: 5,
  terminal: 6,
  startedAt: 7,
  outputFrom: 8,
  outputTo: 9,
  exitKind: 10,
  exitValue: 11,
  timedOut: 12,
} as const

export const FILE = {
  path: 1,
  type: 2,
  size: 3,
  mode: 4,
  uid: 5,
  gid: 6,
  modifiedAt: 7,
  target: 8,
} as const
export const FILE_TYPES = { 1: 'file', 2: 'directory', 3: 'symlink', 4: 'other' } as const

export const EXIT_KIND = { exited: 1, signaled: 2, outOfMemory: 3, lost: 4 } as const

export const OUTPUT_EVENT = { kind: 1, from: 2, to: 3, exitKind: 4, exitValue: 5, timedOut: 6, offset: 2 } as const
export const OUTPUT_EVENT_KIND = { gap: 1, exit: 2, position: 3 } as const

export const WATCH_EVENT = { kind: 1, path: 2, to: 3 } as const
export const WATCH_EVENT_KIND = { created: 1, modified: 2, removed: 3, renamed: 4, chmod: 5, overflow: 6 } as const

export const METRICS = {
  at: 1,
  agentVersion: 2,
  uptimeMs: 3,
  processes: 4,
  memoryTotal: 5,
  memoryUsed: 6,
  diskTotal: 7,
  diskUsed: 8,
  load1: 9,
} as const

/** Credit that every channel has from the start, in bytes, unless `OPEN` asks for another window. */
export const DEFAULT_WINDOW = 65_536
export const TOKEN_BYTES = 32
export const INSTANCE_BYTES = 16
export const ENTROPY_BYTES = 32
export const MAX_PATH_BYTES = 4095
export const MAX_NAME_BYTES = 255
export const MAX_CHANNELS = 1024
