import { CoveError, type DiskId, type MachineId } from '@cove/domain'

/** Who is at work on which machine and disk in this process; the engine's own names guard the rest. */
export class Claims {
  readonly #machines = new Map<MachineId, Promise<unknown>>()
  readonly #disks = new Set<DiskId>()

  /** Makes a machine. `already-exists` while another one of this id is being made. */
  machine<T>(id: MachineId, make: () => Promise<T>): Promise<T> {
    if (this.#machines.has(id)) throw new CoveError('already-exists', `machine ${id} is being made already`)
    return this.#hold(id, make())
  }

  /** Once nobody is at work on the machine any more. */
  async afterMachine<T>(id: MachineId, work: () => Promise<T>): Promise<T> {
    for (;;) {
      const busy = this.#machines.get(id)
      if (busy === undefined) return this.#hold(id, work())
      await busy.catch(() => undefined)
    }
  }

  async disk<T>(id: DiskId, work: () => Promise<T>): Promise<T> {
    if (this.#disks.has(id)) throw new CoveError('wrong-state', `disk ${id} is in use at this moment`)
    this.#disks.add(id)
    try {
      return await work()
    } finally {
      this.#disks.delete(id)
    }
  }

  async #hold<T>(id: MachineId, work: Promise<T>): Promise<T> {
    this.#machines.set(id, work)
    try {
      return await work
    } finally {
      if (this.#machines.get(id) === work) this.#machines.delete(id)
    }
  }
}
