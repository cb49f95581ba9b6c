import {
  CoveError,
  newSnapshotId,
  parseImageId,
  type FetchProgress,
  type ImageId,
  type StoredImage,
} from '@cove/domain'
import type { Scope } from '../auth/principal.ts'
import type { Core } from '../sandboxes/core.ts'

/** What the node keeps of images, for the doors. */
export class Images {
  readonly #core: Core

  constructor(core: Core) {
    this.#core = core
  }

  /** The last used first. */
  async list(scope: Scope): Promise<readonly StoredImage[]> {
    refuseOthers(scope)
    const images = await this.#core.node.images.list()
    return images.toSorted((a, b) => b.usedAt - a.usedAt || (a.info.id < b.info.id ? -1 : 1))
  }

  /** Fetches it; afterwards nothing but its use keeps it. Shares the work with whoever needs the same. */
  async pull(
    scope: Scope,
    source: string,
    progress: (step: FetchProgress) => void,
    signal: AbortSignal,
  ): Promise<ImageId> {
    if (scope.sandbox !== undefined) {
      throw new CoveError('permission-denied', 'a token for one sandbox pulls no images', { sandbox: scope.sandbox })
    }
    const { node, random, templates } = this.#core
    const { from } = await templates.origin(scope, source, 'source')
    if (from.kind !== 'source') {
      throw new CoveError('invalid-argument', `${JSON.stringify(source.slice(0, 80))} is nothing to be pulled`, {
        field: 'source',
      })
    }
    const pin = `pull/${newSnapshotId(random)}`
    try {
      return (await node.images.fetch(from.source, pin, progress, signal, true)).id
    } finally {
      await node.images.unpin(pin)
    }
  }

  /** `wrong-state` while something needs it. Idempotent. */
  async delete(scope: Scope, id: string): Promise<void> {
    refuseOthers(scope)
    await this.#core.node.images.remove(parse(id))
  }

  /** Removes what nothing needs, and tells how many bytes that were. */
  async prune(scope: Scope): Promise<number> {
    refuseOthers(scope)
    return await this.#core.node.images.collect(0)
  }
}

function parse(id: string): ImageId {
  try {
    return parseImageId(id)
  } catch (cause) {
    const problem = 'id must be sha256: and 64 hexadecimal digits'
    throw new CoveError('invalid-argument', problem, { field: 'id' }, { cause, fix: 'See `cove image ls`.' })
  }
}

/** They are shared by all projects, and their names tell what others use. */
function refuseOthers({ operator }: Scope): void {
  if (operator === true) return
  const fix = "Use the operator's key: `cove key show` prints it."
  throw new CoveError('permission-denied', 'the images of a node are for its operator', {}, { fix })
}
