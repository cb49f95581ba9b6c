import { CoveError, type DiskId, type MachineId } from '@cove/domain'
import type { DiskForm, DiskStore } from '../host/disk-store.ts'
import type { MachineNote } from '../host/machine-note.ts'
import type { IdRanges } from './id-ranges.ts'

interface Held {
  readonly disk?: DiskId
  slot?: number
  readonly template: string
}

/** What machines hold of what there is only once: their name, a disk, a range of user ids, a template's layers. */
export class Holdings {
  readonly #disks: DiskStore
  readonly #ranges: IdRanges
  readonly #held = new Map<MachineId, Held>()

  constructor(disks: DiskStore, ranges: IdRanges) {
    this.#disks = disks
    this.#ranges = ranges
  }

  /** Learns from the disks which ranges are taken. */
  async open(): Promise<void> {
    await this.#disks.open()
    for (const id of this.#disks.list()) {
      const slot = this.#slotOf(await this.#disks.formOf(id))
      if (slot !== undefined) this.#ranges.hold(slot)
    }
  }

  /** Takes over what a record says. */
  learn({ machine, slot, disk, template = '' }: MachineNote): void {
    if (slot !== undefined) this.#ranges.hold(slot)
    if (disk !== undefined) this.#disks.use(disk, machine)
    this.#held.set(machine, {
      template,
      ...(slot === undefined ? {} : { slot }),
      ...(disk === undefined ? {} : { disk }),
    })
  }

  /** `already-exists` for a machine that is there, `wrong-state` for a disk that another one has. */
  claim(id: MachineId, disk: DiskId | undefined, template: string): void {
    if (this.#held.has(id)) throw new CoveError('already-exists', `machine ${id} exists already`, { machine: id })
    if (disk !== undefined) this.#disks.use(disk, id)
    this.#held.set(id, { template, ...(disk === undefined ? {} : { disk }) })
  }

  /** A range of ids for a claimed machine: that of its disk, or a free one. */
  claimRange(id: MachineId, form: DiskForm): number {
    const slot = this.#slotOf(form) ?? this.#ranges.take()
    const held = this.#held.get(id)
    if (held !== undefined) held.slot = slot
    return slot
  }

  async release(id: MachineId): Promise<void> {
    const held = this.#held.get(id)
    if (held === undefined) return
    this.#held.delete(id)
    if (held.disk !== undefined) this.#disks.release(held.disk, id)
    if (held.slot === undefined) return
    // A disk of folders belongs to the range of ids that wrote it, for as long as it is kept.
    const form = held.disk === undefined ? undefined : await this.#disks.formOf(held.disk)
    if (form?.kind !== 'folder') this.#ranges.release(held.slot)
  }

  async removeDisk(id: DiskId): Promise<void> {
    const slot = this.#slotOf(await this.#disks.formOf(id))
    await this.#disks.remove(id)
    if (slot !== undefined) this.#ranges.release(slot)
  }

  templates(): readonly string[] {
    return [...this.#held.values()].map(({ template }) => template)
  }

  #slotOf(form: DiskForm): number | undefined {
    return form.kind === 'folder' ? this.#ranges.slotOf(form.owner) : undefined
  }
}
