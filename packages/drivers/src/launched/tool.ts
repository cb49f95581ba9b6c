import type { Isolation, LimitName, MachineId, MachineSpec, TemplateRoot } from '@cove/domain'
import type { HostProcessSpec, MountSpec } from '@cove/runner'
import type { MissingLimits } from '../cgroups/limit-support.ts'
import type { Reserve } from '../cgroups/plan.ts'

/** The program that makes the wall around one family of machines, and how it is asked to. */
export interface Tool {
  /** Name of the driver. */
  readonly name: string
  readonly isolation: Isolation
  /** What ids of its records in the launcher begin with. */
  readonly recordPrefix: string
  /** Which of the parts of the host's user ids its machines get: no two drivers share one. */
  readonly share: number
  /** What the machine of the proof starts from, and what is run in it. Default: the host's programs, `/bin/true`. */
  readonly proof?: { readonly from: (emptyFolder: string) => TemplateRoot; readonly argv: readonly string[] }
  /** The host's kernel filters the machine's system calls: the proof looks whether it does. */
  readonly filtered?: boolean
  /** The only form that writable layers have: `image` is a file system of its own, which nobody but the machine mounts. */
  readonly disks?: 'image'
  /** Looks for the program. Never throws for a missing one. */
  find(): Promise<FoundTool>
}

export interface FoundTool {
  /** Undefined where it is not installed. */
  readonly program: string | undefined
  /** For people, such as `bubblewrap 0.8.0`. */
  readonly version: string
  /** Said where it is not installed. */
  readonly missing: { readonly reason: string; readonly fix: string }
  /** What to do where no machine runs. */
  readonly runningFix: (ids: 'range' | 'self') => string
  /** What its machines use beyond the workload's own limits. Default: what the agent needs. */
  readonly reserve?: Reserve
  /** Limits that it cannot enforce, whatever the host can. */
  readonly cannot?: MissingLimits
  /** Limits that it enforces by itself, whatever the host can; they stay as the machine was made. */
  readonly keeps?: readonly LimitName[]
  /** What the process of one machine is beside what all have in common. */
  command(request: CommandRequest): ToolCommand
}

export interface CommandRequest {
  readonly program: string
  readonly id: MachineId
  readonly spec: MachineSpec
  /** True: it is root of a namespace with many ids that the launcher made. False: there is only the caller's own id. */
  readonly mapped: boolean
  /** It starts in the network namespace that the machine is to have, instead of making an empty one. */
  readonly hasNetwork: boolean
  /** Command line of the agent inside. */
  readonly agent: readonly string[]
  readonly agentEnv: Readonly<Record<string, string>>
  /** How many descriptors from 3 on the agent inherits. */
  readonly descriptors: number
}

export interface ToolCommand {
  readonly argv: readonly string[]
  /** Default: the agent's. */
  readonly env?: Readonly<Record<string, string>>
  /** Descriptors above those that the agent inherits. */
  readonly blobs?: HostProcessSpec['blobs']
  /** Made after all others. */
  readonly mounts?: readonly MountSpec[]
  /** The tool cannot write into the stage itself. Default false. */
  readonly stageReadOnly?: boolean
}

/** The first descriptor that a tool may take for itself. */
export const TOOL_FD = 240
