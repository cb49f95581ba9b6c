import type { Container } from '@cove/containerd-engine'
import type { DiskId, ImageId, MachineId } from '@cove/domain'
import { parseDiskId } from '@cove/domain'
import { readNote, writeNote, type MachineNote } from '../host/machine-note.ts'

export const DRIVER = 'containerd'
export const INSTALLATION_LABEL = 'cove.installation'
const MACHINE_LABEL = 'cove.machine'
const NOTE_LABEL = 'cove.note'
const DISK_LABEL = 'cove.disk'
/** containerd's own: what has it is not collected. */
const ROOT_LABEL = 'containerd.io/gc.root'

/** The container's id is the machine's. */
export const containerOf = (id: MachineId): string => id
/** What a machine without a disk writes; the container holds it. */
export const scratchOf = (id: MachineId): string => `machine-${id}`
export const diskOf = (id: DiskId): string => `disk-${id}`

export function machineLabels(installation: string, note: MachineNote): Readonly<Record<string, string>> {
  return {
    [INSTALLATION_LABEL]: installation,
    [MACHINE_LABEL]: note.machine,
    [NOTE_LABEL]: writeNote(note),
    ...(note.disk === undefined ? {} : { [DISK_LABEL]: note.disk }),
  }
}

/** A disk belongs to no container, and stays until it is removed. */
export function diskLabels(installation: string, disk: DiskId, image: ImageId | undefined) {
  return {
    [INSTALLATION_LABEL]: installation,
    [DISK_LABEL]: disk,
    [ROOT_LABEL]: new Date().toISOString(),
    ...(image === undefined ? {} : { 'cove.image': image }),
  }
}

/** Undefined for what is not ours. */
export function noteOf({ labels }: Container): MachineNote | undefined {
  return readNote(labels[NOTE_LABEL] ?? '', DRIVER)
}

export function diskIdOf(labels: Readonly<Record<string, string>>): DiskId | undefined {
  const text = labels[DISK_LABEL]
  return text === undefined ? undefined : parseDiskId(text)
}
