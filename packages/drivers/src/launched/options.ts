import type { Log, Random } from '@cove/domain'
import type { NetworksOptions } from '@cove/network'
import type { Launcher } from '@cove/runner'

export interface LaunchedOptions {
  readonly launcher: Launcher
  /** Path of the guest program. */
  readonly guestProgram: string
  /** Folder for what the driver keeps: at most 79 bytes, made when missing. */
  readonly stateDir: string
  /**
   * Holds the folders with the machines' sockets, best in memory; at most 79 bytes. The same for every daemon of one
   * boot of the host, and another one for every driver. Default: the state directory.
   */
  readonly runtimeDir?: string
  /** Whose machines these are; names the cgroups. */
  readonly installation: string
  readonly random?: Random
  readonly log?: Log
  /** How the network `internet` is made. Default: with the system's programs, names looked up as this host does. */
  readonly network?: Pick<NetworksOptions, 'tools' | 'lookup'>
  /**
   * First of the host's user ids that machines get, 65,536 each. The ids from here on are shared out to all drivers:
   * the same for each. Default 0x10000000.
   */
  readonly uidBase?: number
}
