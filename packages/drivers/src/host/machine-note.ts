import type { LimitReport } from '@cove/domain'
import {
  LIMIT_NAMES,
  parseDiskId,
  parseMachineId,
  parseSnapshotId,
  type DiskId,
  type MachineId,
  type SnapshotId,
} from '@cove/domain'

/** What a driver writes beside the host process of a machine, so that the next daemon can go on with it. */
export interface MachineNote {
  readonly driver: string
  readonly machine: MachineId
  readonly limits: readonly LimitReport[]
  readonly disk?: DiskId
  /** Which range of user ids it holds. */
  readonly slot?: number
  /** Name of the template's layers that it has mounted. */
  readonly template?: string
  /** Its root comes from an image. Default: from the host. */
  readonly image?: boolean
  /** Memory snapshot that it was made from, or that its disk was. */
  readonly snapshot?: SnapshotId
  /** It has started over that disk, and has not gone on from the memory. */
  readonly started?: boolean
  /** Of a virtual machine. */
  readonly vm?: VmNote
}

/** What a virtual machine was started with. */
export interface VmNote {
  /** Id of what it has booted. */
  readonly system: string
  readonly accelerator: string
  /** Program and version that runs it. */
  readonly monitor: string
  /** The processor that it sees: its model, or the host's own in a way that tells it from others. */
  readonly cpu: string
  readonly memoryBytes: number
  readonly cpus: number
  readonly network: boolean
  /** How many. */
  readonly volumes: number
  /** Tells its root from others. */
  readonly root: string
}

const MAX_REASON = 200

export function writeNote(note: MachineNote): string {
  const limits = note.limits.map(({ reason, ...report }) =>
    reason === undefined ? report : { ...report, reason: reason.slice(0, MAX_REASON) },
  )
  return JSON.stringify({ version: 1, ...note, limits })
}

/** Undefined for notes of others. */
export function readNote(text: string, driver: string): MachineNote | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (!isRecord(value) || value['version'] !== 1 || value['driver'] !== driver) return undefined
    const { machine, disk, slot, template, image, snapshot, started, vm, limits } = value
    if (typeof machine !== 'string') return undefined
    return {
      driver,
      machine: parseMachineId(machine),
      limits: readReports(limits),
      ...(typeof disk === 'string' ? { disk: parseDiskId(disk) } : {}),
      ...(typeof slot === 'number' ? { slot } : {}),
      ...(typeof template === 'string' ? { template } : {}),
      ...(image === true ? { image } : {}),
      ...(typeof snapshot === 'string' ? { snapshot: parseSnapshotId(snapshot) } : {}),
      ...(started === true ? { started } : {}),
      ...(isVmNote(vm) ? { vm } : {}),
    }
  } catch {
    return undefined
  }
}

export function isVmNote(value: unknown): value is VmNote {
  if (!isRecord(value)) return false
  const { system, accelerator, monitor, cpu, memoryBytes, cpus, network, volumes, root } = value
  return (
    [system, accelerator, monitor, cpu, root].every((text) => typeof text === 'string') &&
    [memoryBytes, cpus, volumes].every((count) => Number.isSafeInteger(count)) &&
    typeof network === 'boolean'
  )
}

/** What cannot be understood is left out. */
export function readReports(value: unknown): readonly LimitReport[] {
  return Array.isArray(value) ? value.flatMap(readReport) : []
}

function readReport(value: unknown): readonly LimitReport[] {
  if (!isRecord(value)) return []
  const { value: amount, enforced, reason } = value
  const name = LIMIT_NAMES.find((known) => known === value['name'])
  if (name === undefined || typeof amount !== 'number' || typeof enforced !== 'boolean') return []
  return [{ name, value: amount, enforced, ...(typeof reason === 'string' ? { reason } : {}) }]
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
