import type { Exit } from '@cove/domain'
import type { Scope } from '../auth/principal.ts'
import type { GuestLease } from '../sandboxes/sandboxes.ts'

/** Ways to run a piece of code in a sandbox, and to give it packages: python, node and shell. */
export interface Runtimes {
  /** In the order in which they are offered. */
  readonly names: readonly RuntimeName[]
  /**
   * Runs code and waits for its end. At the timeout its whole process group is ended, and the answer has what it
   * printed until then. Code that fails is an answer, not an error. When the signal aborts, the code is ended too.
   */
  run(caller: Scope, sandbox: string, request: RunCode, signal: AbortSignal): Promise<CodeResult>
  /**
   * Installs packages where later runs of the same runtime find them. `invalid-argument` for names that are none;
   * `unsupported` where the sandbox has nothing to install with, with the reason.
   */
  install(caller: Scope, sandbox: string, request: InstallPackages, signal: AbortSignal): Promise<CodeResult>
  /**
   * What other processes of the sandbox are started with, so that they use the installed packages of python and the
   * programs of all: a PATH.
   */
  environment(lease: GuestLease, signal: AbortSignal): Promise<Readonly<Record<string, string>>>
}

export const RUNTIMES = ['python', 'node', 'shell'] as const
export type RuntimeName = (typeof RUNTIMES)[number]

/** Told of output as it comes. */
export type OutputListener = (stream: 'stdout' | 'stderr', data: Uint8Array) => void

export interface RunCode {
  readonly runtime: RuntimeName
  /** At most 512,000 bytes of UTF-8. */
  readonly code: string
  readonly timeoutMs: number
  /** Default: the user's home. */
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  /** Bytes kept of each stream, half of them head and half tail. */
  readonly maxOutputBytes: number
  /** For progress; must not block. */
  readonly onOutput?: OutputListener
}

export interface InstallPackages {
  readonly runtime: RuntimeName
  /** At most 100, each with an optional version, extras or scope as its package manager writes them. */
  readonly packages: readonly string[]
  readonly timeoutMs: number
  readonly maxOutputBytes: number
  readonly onOutput?: OutputListener
}

export interface CodeResult {
  readonly stdout: KeptOutput
  readonly stderr: KeptOutput
  readonly exit: Exit
  readonly timedOut: boolean
  /** From the start of the process to its end. */
  readonly durationMs: number
}

/** Head and tail of a stream. */
export interface KeptOutput {
  readonly bytes: Uint8Array
  /** Bytes left out between head and tail; 0 when all is there. */
  readonly omitted: number
}
