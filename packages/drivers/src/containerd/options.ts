import type { ImageStore, Log, Random } from '@cove/domain'
import type { Containerd } from '@cove/containerd-engine'
import type { Launcher } from '@cove/runner'

export interface ContainerdDriverOptions {
  /** Path of containerd's socket. Default `/run/containerd/containerd.sock`. */
  readonly address?: string
  /** Path of the guest program. */
  readonly guestProgram: string
  /** Folder for what the driver keeps, made when missing. */
  readonly stateDir: string
  /** For what means nothing after a restart of the host, best in memory. Default: the state directory. */
  readonly runtimeDir?: string
  /** Whose machines these are; names the namespace in containerd, and the cgroups. */
  readonly installation: string
  /** Where images come from. */
  readonly images: Pick<ImageStore, 'export' | 'list'>
  /** Names machines from outside, which may not do so themselves. Without it they keep the names they were made with. */
  readonly launcher?: Pick<Launcher, 'setHostname'>
  readonly random?: Random
  readonly log?: Log
  /** Path of runc. Default: found in the system's program folders. */
  readonly runtime?: string
  /** How containerd is reached. Default: by its socket. */
  readonly connect?: (address: string, namespace: string) => Containerd
}

export const DEFAULT_ADDRESS = '/run/containerd/containerd.sock'
