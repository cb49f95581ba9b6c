import type { EndReason, SandboxState } from './life.ts'
import type { ImageId, SandboxId, SnapshotId, VolumeId } from './ids.ts'
import type { Isolation } from './isolation.ts'
import type { LimitReport, Limits } from './limits.ts'
import type { Network } from './network.ts'

/** Where a paused sandbox has its memory: frozen where it is, or saved, so that it uses none. */
export type PausedTo = 'memory' | 'disk'

/** Milliseconds, or `never`. */
export type Timeout = number | 'never'

/** What a sandbox's machine is made from, once the server has looked up the template's name. */
export type Origin =
  /** The host's own programs. */
  | { readonly kind: 'host' }
  /** Fetched by the node when it is not there, for example `oci:alpine:3.20`. */
  | { readonly kind: 'source'; readonly source: string }
  /** On the node: a template's version, or a `filesystem` snapshot. */
  | { readonly kind: 'image'; readonly image: ImageId }
  /** A `memory` snapshot on the node. */
  | { readonly kind: 'snapshot'; readonly snapshot: SnapshotId }

/** What runs in a sandbox from its start on, and how one knows that it is ready. */
export interface StartCommand {
  readonly argv: readonly string[]
  /** Default: ready when it has been started. */
  readonly ready?: ReadyCheck
}

export type ReadyCheck = { readonly timeoutMs: number } &
  /** Something listens on this TCP port of the sandbox. */
  (
    | { readonly kind: 'port'; readonly port: number }
    /** This command ends with 0; tried again until it does. */
    | { readonly kind: 'command'; readonly argv: readonly string[] }
  )

/** A machine of a template, saved with its start command running, that a new one may go on from. */
export interface TemplateMemory {
  readonly snapshot: SnapshotId
  /** That keeps it. */
  readonly driver: string
  /** Why this sandbox cannot go on from it, whichever driver it gets. */
  readonly unfit?: string
}

/** A volume as one sandbox sees it. */
export interface VolumeUse {
  readonly volume: VolumeId
  /** As it was asked for. */
  readonly name: string
  /** Inside, absolute. */
  readonly path: string
  readonly readOnly: boolean
}

/** What was asked for. Written once by the server; only the timeouts change afterwards. */
export interface SandboxSpec {
  readonly id: SandboxId
  readonly project: string
  /** Unique among the live sandboxes of its project, when given. */
  readonly name?: string
  /** The name that was asked for. */
  readonly template: string
  /** What that name meant when the sandbox was created. */
  readonly from: Origin
  /** Where its driver keeps it, its first machine goes on from this; else it starts. */
  readonly memory?: TemplateMemory
  /** The snapshot that it was made from. */
  readonly snapshot?: SnapshotId
  readonly volumes: readonly VolumeUse[]
  /** The weakest wall that is acceptable. */
  readonly isolation?: Isolation
  /** Names one driver instead of leaving the choice to the node. */
  readonly driver?: string
  readonly limits: Limits
  readonly network: Network
  /** Added to what the image says; wins over it. */
  readonly env: Readonly<Record<string, string>>
  /** Whose processes and where they start, unless a call says otherwise; default: what the image says. */
  readonly user?: string
  readonly workdir?: string
  readonly start?: StartCommand
  readonly labels: Readonly<Record<string, string>>
  /** From the last activity to what is to happen then. */
  readonly idleTimeout: Timeout
  /** What happens then. Default `delete`. */
  readonly onIdle?: 'delete' | 'pause'
  /** Whoever uses it while it is paused resumes it by that. Default: when it is paused by being idle. */
  readonly autoResume?: boolean
  /** From creation (or the last extension) to the end, whatever happens. */
  readonly lifetime: Timeout
  readonly createdAt: number
}

/** What is. Written by the server from what the node reports. */
export interface SandboxStatus {
  readonly state: SandboxState
  /** How often the sandbox was made anew under its id; the first machine is incarnation 1. */
  readonly incarnation: number
  /** Unix milliseconds of the last change of state. */
  readonly changedAt: number
  readonly node?: string
  readonly driver?: string
  readonly isolation?: Isolation
  readonly limits: readonly LimitReport[]
  /** Made ahead and taken from a pool. */
  readonly pooled?: boolean
  /** Went on from a saved memory instead of starting. */
  readonly restored?: boolean
  /** Unix milliseconds; absent means never. */
  readonly deadline?: number
  /** Of one that is paused, or is about to be. Default `memory`. */
  readonly pausedTo?: PausedTo
  /** While it is paused its lifetime goes on; otherwise the deadline moves by as long as it was paused. */
  readonly burnsWhilePaused?: boolean
  readonly reason?: EndReason
  /** The reason in a sentence, for people. */
  readonly message?: string
}

export interface Sandbox {
  readonly spec: SandboxSpec
  readonly status: SandboxStatus
}
