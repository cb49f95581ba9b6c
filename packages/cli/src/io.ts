import type { Readable, Writable } from 'node:stream'

/** What a command may touch of the outside; tests bring their own. */
export interface Io {
  readonly stdin: Readable & { readonly isTTY?: boolean; setRawMode?(on: boolean): unknown }
  readonly stdout: Writable & { readonly isTTY?: boolean; readonly columns?: number; readonly rows?: number }
  readonly stderr: Writable & { readonly isTTY?: boolean; readonly columns?: number }
  readonly env: Readonly<Record<string, string | undefined>>
  /** True when there is nothing to be read from stdin, now or later. */
  readonly stdinIsEmpty?: boolean
  /** Takes a signal over from its default, until the returned function is called. */
  readonly onSignal?: (signal: 'SIGINT' | 'SIGTERM' | 'SIGHUP', handler: () => void) => () => void
}
