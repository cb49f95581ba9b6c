import type { TerminalSize } from '@cove/domain'
import type { CommandOptions } from './command.ts'

/** How a process is started. */
export interface StartOptions extends CommandOptions {
  /** A pipe for `write` and `closeStdin`. Default false: the input is empty. */
  readonly stdin?: boolean
  /** A terminal of this size instead of pipes; it has an input in any case. */
  readonly terminal?: TerminalSize
  /** The process's id, chosen by the caller: 1 to 64 of letters, digits, dot, dash and underscore. Default: a new one. */
  readonly id?: string
  /**
   * What to do when the sandbox has a process of this id, also one that ended in the last ten minutes: fail with
   * `already-exists`, or `attach` to it as if it had just been started. With `attach`, a start may be repeated by whoever
   * does not know whether it was carried out; a process with other words is `already-exists` all the same. Default
   * `fail`.
   */
  readonly ifExists?: 'fail' | 'attach'
}
