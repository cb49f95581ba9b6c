import { join } from 'node:path'
import type { HostProcessSpec } from '@cove/runner'
import type { NetworkTools } from './tools.ts'

/** What ids of the keepers' records begin with. `owner` tells those of one driver from those of another. */
export const prefixOf = (owner: string | undefined): string => (owner === undefined ? 'network-' : `network.${owner}.`)
export const socketOf = (folder: string, machine: string): string => join(folder, machine, 's')

export interface KeeperRequest {
  /** Id of the keeper's record. */
  readonly record: string
  readonly machine: string
  /** Holds a folder per machine. */
  readonly folder: string
  readonly guestProgram: string
  readonly tools: NetworkTools
  readonly rules: string
  /** The way to the host's own loopback exists; which ports of it, the rules say. */
  readonly hostLoopback: boolean
  /** `self`: an ordinary user may make a network namespace only inside a user namespace. */
  readonly ids: 'root' | 'self'
}

/**
 * Connections of one machine at a time, less a dozen: what carries them is outside of the machine's memory limit, and
 * each may hold 256 KiB on its way.
 */
const DESCRIPTORS = 1_024

const SOCKET_FD = 3
const RULES_FD = 4

/** The host process that keeps one machine's network. */
export function keeperSpec(request: KeeperRequest): HostProcessSpec {
  const folder = join(request.folder, request.machine)
  return {
    id: request.record,
    owner: 'durable',
    argv: [
      request.guestProgram,
      'network',
      '--listen-fd',
      `${SOCKET_FD}`,
      '--rules-fd',
      `${RULES_FD}`,
      '--nft',
      request.tools.nft,
      '--slirp4netns',
      request.tools.slirp4netns,
      ...(request.hostLoopback ? ['--host-loopback', 'yes'] : []),
    ],
    env: {},
    stdio: 'held',
    folders: [{ path: folder, mode: 0o700 }],
    listen: [{ fd: SOCKET_FD, path: socketOf(request.folder, request.machine), mode: 0o600 }],
    blobs: [{ fd: RULES_FD, data: Buffer.from(request.rules) }],
    ...(request.ids === 'self' ? { userNamespace: { kind: 'self', uid: 0, gid: 0 } } : {}),
    rlimits: [
      { name: 'core', soft: 0, hard: 0 },
      { name: 'nofile', soft: DESCRIPTORS, hard: DESCRIPTORS },
    ],
    removeOnDestroy: [folder],
  }
}
