import { CoveError, type DiskId, type MachineId } from '@cove/domain'

/** Which machines there are, which disks, and who uses which. */
export class Holdings {
  readonly #machines = new Map<MachineId, DiskId | undefined>()
  readonly #disks = new Set<DiskId>()
  readonly #users = new Map<DiskId, MachineId>()

  /** Takes over what containerd's records say. */
  learn(id: MachineId, disk: DiskId | undefined): void {
    this.#machines.set(id, disk)
    if (disk !== undefined) this.#users.set(disk, id)
  }

  /** `already-exists` for a machine that is there, `wrong-state` for a disk that another one has. */
  claim(id: MachineId, disk: DiskId | undefined): void {
    if (this.#machines.has(id)) throw new CoveError('already-exists', `machine ${id} exists already`, { machine: id })
    if (disk !== undefined) this.refuseInUse(disk)
    this.learn(id, disk)
  }

  release(id: MachineId): void {
    const disk = this.#machines.get(id)
    if (disk !== undefined && this.#users.get(disk) === id) this.#users.delete(disk)
    this.#machines.delete(id)
  }

  diskOf(id: MachineId): DiskId | undefined {
    return this.#machines.get(id)
  }

  hasDisk(id: DiskId): boolean {
    return this.#disks.has(id)
  }

  addDisk(id: DiskId): void {
    this.#disks.add(id)
  }

  dropDisk(id: DiskId): void {
    this.#disks.delete(id)
  }

  refuseInUse(disk: DiskId): void {
    const user = this.#users.get(disk)
    if (user === undefined) return
    throw new CoveError('wrong-state', `disk ${disk} is in use by machine ${user}`, { disk, machine: user })
  }

  disks(): readonly DiskId[] {
    return [...this.#disks]
  }
}
