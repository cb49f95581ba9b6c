/**
 * What the launcher is asked to start. Everything here is carried out by the launcher in this order: folders,
 * cgroups, sockets and blobs, user namespace, fork; then in the child: cgroups joined, descriptors placed, user
 * namespace entered, mount namespace and mounts, identity, exec. The record is on disk before exec.
 */
export interface HostProcessSpec {
  /** File-name safe, at most 64 bytes, unique among the launcher's records. */
  readonly id: string
  /** Ephemeral: ends with its owner process. Durable: lives until its installation disowns it. */
  readonly owner: 'durable' | { readonly pid: number; readonly startTime: number }
  /** Free text for the owner, at most 4 KiB, kept in the record. Never secret. */
  readonly note?: string
  /** Starts with the absolute path of the program: no PATH is searched. */
  readonly argv: readonly string[]
  /** The whole environment; nothing is inherited. */
  readonly env: Readonly<Record<string, string>>
  readonly cwd?: string
  /**
   * `null` device; `held`: kept by the launcher in a bounded ring per stream that `output()` reads; `piped`: the caller
   * opens pipes with `openPipes()`, of stdin only when it is asked for. With `piped` the process gets SIGPIPE when the
   * caller is gone, so it is meant for ephemeral owners. `fifos`: stdin and stdout are FIFOs that the launcher makes at
   * these paths, in a folder that goes with the process, and that the process has open for both directions: whoever has
   * their other sides may go and come again, and nobody sees an end; stderr is held.
   */
  readonly stdio?:
    | 'null'
    | 'held'
    | { readonly piped: 'output' | 'all' }
    | { readonly fifos: { readonly stdin: string; readonly stdout: string } }
  /**
   * Folders made before anything else. Parents must exist, the folder itself must not; it outlives the process unless
   * it stands in `removeOnDestroy`. `owner: 'mapped-root'` gives it to uid 0 of the user namespace.
   */
  readonly folders?: readonly { readonly path: string; readonly mode: number; readonly owner?: 'mapped-root' }[]
  /** Listening unix stream sockets, bound by the launcher and passed as this descriptor (3 to 255). */
  readonly listen?: readonly { readonly fd: number; readonly path: string; readonly mode: number }[]
  /** Bytes passed as a sealed memory file at this descriptor, positioned at 0. */
  readonly blobs?: readonly { readonly fd: number; readonly data: Uint8Array }[]
  /** Host files opened by the launcher and passed at this descriptor, such as `tasks` of a child cgroup. */
  readonly files?: readonly { readonly fd: number; readonly path: string; readonly write: boolean }[]
  /** Cgroup folders made (with one `mkdir` each, in order), set, and joined; removed in reverse order on destroy. */
  readonly cgroups?: readonly CgroupSpec[]
  readonly userNamespace?: UserNamespaceSpec
  /**
   * Id of a living host process that keeps a network namespace (`cove-guest network`): the new one runs in that. Where
   * that one has a user namespace of its own, the new one enters it too, in place of one of kind `self`.
   * `network-unavailable` when it is gone.
   */
  readonly networkOf?: string
  /** When present, the child gets a mount namespace of its own with these mounts made in order. */
  readonly mounts?: readonly MountSpec[]
  /** Files written inside the child before exec, after namespaces are entered (for example sysctls); made when missing. */
  readonly writes?: readonly { readonly path: string; readonly text: string }[]
  readonly rlimits?: readonly {
    readonly name: 'nofile' | 'nproc' | 'core' | 'stack' | 'memlock'
    readonly soft: number
    readonly hard: number
  }[]
  readonly oomScoreAdj?: number
  /** Paths removed recursively on destroy, never following links. */
  readonly removeOnDestroy?: readonly string[]
}

export interface CgroupSpec {
  readonly path: string
  /** Files written after `mkdir`, in order. A failure of one with `required` fails the start; others are reported. */
  readonly set: readonly { readonly file: string; readonly value: string; readonly required: boolean }[]
  /** The child joins it: by `tasks` with "0" on v1, by `cgroup.procs` with "0" on v2. */
  readonly join?: boolean
}

export type UserNamespaceSpec =
  /** Needs root: inside 0..count-1 is outside base..base+count-1. The child becomes uid 0 inside. */
  | { readonly kind: 'range'; readonly base: number; readonly count: number }
  /** Needs nothing: the caller's own uid shows as `uid`/`gid` inside. */
  | { readonly kind: 'self'; readonly uid: number; readonly gid: number }

export type MountSpec =
  /**
   * `mapped`: shown through the user namespace's id map, so that files keep their owners' numbers; nothing there is a
   * device or gives rights. `recursive` shows what is mounted below, too, and makes it read-only where asked.
   */
  | {
      readonly kind: 'bind'
      readonly source: string
      readonly target: string
      readonly readOnly: boolean
      readonly recursive?: boolean
      readonly mapped?: boolean
    }
  /** `mapped`: lower folders are shown through the user namespace's id map, so that host root is root inside. */
  | {
      readonly kind: 'overlay'
      readonly lower: readonly string[]
      readonly upper: string
      readonly work: string
      readonly target: string
      readonly mapped: boolean
    }
  | { readonly kind: 'tmpfs'; readonly target: string; readonly sizeBytes: number; readonly mode: number }
  /** A tmpfs with the common device nodes, terminals of its own and the usual links: a small `/dev`. */
  | { readonly kind: 'devices'; readonly target: string }
  /** An ext4 image file through a loop device that goes away with its last mount. Needs root. */
  | { readonly kind: 'image'; readonly image: string; readonly target: string }
