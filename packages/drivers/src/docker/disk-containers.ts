import type { Container, ContainerSummary, DockerEngine } from '@cove/docker-engine'
import { CoveError, parseDiskId, type DiskId } from '@cove/domain'
import { isAlive } from './container-watch.ts'
import { KIND, LABEL, type Names } from './names.ts'
import { unlessMissing } from './unless-missing.ts'

const KILL_MS = 120_000

/**
 * Disks that outlive machines. A disk is the container that has it: while a machine uses it, the container has that
 * machine's name, and otherwise the disk's.
 */
export class DiskContainers {
  readonly #names: Names

  constructor(names: Names) {
    this.#names = names
  }

  async list(engine: DockerEngine): Promise<readonly DiskId[]> {
    const all = await engine.listContainers({ ...this.#names.labels(KIND.machine), [LABEL.disk]: '' })
    return [...new Set(all.filter(({ state }) => state !== 'created').flatMap(diskOf))]
  }

  /** Undefined where there is none. `wrong-state` where a machine uses it. */
  async find(engine: DockerEngine, disk: DiskId): Promise<Container | undefined> {
    const free = (await this.#all(engine, disk)).find(({ names }) => names.includes(this.#names.disk(disk)))
    return free === undefined ? undefined : engine.inspectContainer(free.id)
  }

  async remove(engine: DockerEngine, disk: DiskId): Promise<void> {
    for (const { id } of await this.#all(engine, disk)) await engine.removeContainer(id)
    for (const { tags } of await engine.listImages({ reference: `${this.#names.disks}:${disk}*` })) {
      for (const tag of tags) await engine.removeImage(tag)
    }
  }

  /** Ends what runs in a disk's container, and gives it the name of a disk that nobody uses. */
  async free(engine: DockerEngine, container: string): Promise<void> {
    const found = await engine.inspectContainer(container).catch(unlessMissing)
    const [disk] = found === undefined ? [] : diskOf(found)
    if (found === undefined || disk === undefined) return
    if (found.state === 'paused') await engine.resumeContainer(found.id).catch(() => undefined)
    if (isAlive(found)) {
      await engine.signalContainer(found.id, 'SIGKILL').catch((error: unknown) => {
        if (CoveError.from(error).code !== 'wrong-state') throw error
      })
      await engine.waitContainer(found.id, AbortSignal.timeout(KILL_MS))
    }
    const name = this.#names.disk(disk)
    if (found.name === name) return
    // What this one was made from, when its daemon was killed before it could remove that.
    const stale = await engine.inspectContainer(name).catch(unlessMissing)
    if (stale !== undefined) await engine.removeContainer(stale.id)
    await engine.renameContainer(found.id, name)
  }

  async #all(engine: DockerEngine, disk: DiskId): Promise<readonly ContainerSummary[]> {
    const all = await engine.listContainers({ ...this.#names.labels(KIND.machine), [LABEL.disk]: disk })
    if (all.some((each) => this.#isUsed(each))) {
      throw new CoveError('wrong-state', `disk ${disk} is used by a machine`)
    }
    return all
  }

  #isUsed({ names, state }: ContainerSummary): boolean {
    const role = this.#names.roleOf(names)
    return role !== undefined && 'machine' in role && state !== 'created'
  }
}

function diskOf({ labels }: Pick<ContainerSummary, 'labels'>): readonly DiskId[] {
  const text = labels[LABEL.disk]
  return text === undefined ? [] : [parseDiskId(text)]
}
