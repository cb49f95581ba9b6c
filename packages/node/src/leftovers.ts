import { keepsDisks, keepsSnapshots, type DiskId, type Driver, type MachineId, type SnapshotId } from '@cove/domain'
import type { Background } from './background.ts'

/** Removals that run at once; each is a handful of system calls or one request to an engine. */
const AT_ONCE = 8

export interface Leftover {
  readonly driver: Driver
  readonly machine?: MachineId
  /** Removed once no machine in the same list is left. */
  readonly disk?: DiskId
  /** Of its memory, and nobody else's. */
  readonly snapshot?: SnapshotId
}

/** What has to go away and will be tried until it is gone, whatever the driver says meanwhile. */
export class Leftovers {
  readonly #background: Background
  readonly #what: string
  readonly #onEmpty: () => void
  readonly #machines = new Map<MachineId, Driver>()
  readonly #disks = new Map<DiskId, Driver>()
  readonly #snapshots = new Map<SnapshotId, Driver>()
  #attempt: Promise<void> = Promise.resolve()
  #repeating: Promise<void> | undefined

  constructor(background: Background, what: string, onEmpty: () => void = () => {}) {
    this.#background = background
    this.#what = what
    this.#onEmpty = onEmpty
  }

  get empty(): boolean {
    return this.#machines.size === 0 && this.#disks.size === 0 && this.#snapshots.size === 0
  }

  add({ driver, machine, disk, snapshot }: Leftover): void {
    if (machine !== undefined) this.#machines.set(machine, driver)
    if (disk !== undefined) this.#disks.set(disk, driver)
    if (snapshot !== undefined) this.#snapshots.set(snapshot, driver)
  }

  /** Tries everything once, now. When that fails it rejects with the reason and goes on in the background. */
  async remove(): Promise<void> {
    try {
      await this.#background.track(this.#once())
    } catch (error) {
      this.#repeat()
      throw error
    }
  }

  removeInBackground(): void {
    this.remove().catch(() => {})
  }

  #repeat(): void {
    if (this.#repeating !== undefined) return
    this.#repeating = this.#background
      .untilDone(this.#what, () => this.#once())
      .catch(() => {})
      .finally(() => {
        this.#repeating = undefined
      })
  }

  /** One attempt at a time, each with everything that is on the list when it begins. */
  #once(): Promise<void> {
    const attempt = this.#attempt.then(() => this.#tryAll())
    this.#attempt = attempt.catch(() => {})
    return attempt
  }

  async #tryAll(): Promise<void> {
    if (this.empty) return
    await removeEach(this.#machines, (driver, machine) => driver.destroy(machine))
    await removeEach(this.#disks, async (driver, disk) => {
      if (keepsDisks(driver)) await driver.removeDisk(disk)
    })
    await removeEach(this.#snapshots, async (driver, snapshot) => {
      if (keepsSnapshots(driver)) await driver.removeSnapshot(snapshot)
    })
    if (this.empty) this.#onEmpty()
  }
}

/** Every one is tried; the first failure is thrown after that. */
async function removeEach<Id>(
  items: Map<Id, Driver>,
  remove: (driver: Driver, id: Id) => Promise<void>,
): Promise<void> {
  const failures: unknown[] = []
  const todo = [...items].values()
  const worker = async (): Promise<void> => {
    for (const [id, driver] of todo) {
      try {
        await remove(driver, id)
        items.delete(id)
      } catch (error) {
        failures.push(error)
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, items.size) }, worker))
  if (failures.length > 0) throw failures[0]
}
