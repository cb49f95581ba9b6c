import {
  CoveError,
  type ImageDefaults,
  type ImageId,
  type SandboxSpec,
  type SnapshotId,
  type SnapshotRef,
  type TemplateRoot,
} from '@cove/domain'
import type { EndedRecord } from './machine-record.ts'
import type { NodeParts } from './node-parts.ts'
import type { SavedMemory } from './snapshots/saved-memory.ts'

/** What one machine is made from. Nothing of it is collected until it is disposed; then a record has to hold it. */
export interface Ground extends Disposable {
  readonly from: TemplateRoot | SnapshotRef
  /** The image below it, or none: the host. */
  readonly image?: ImageId
  /** Of a saved memory: the driver that has it, and what its guest agent is bound to. */
  readonly saved?: { readonly snapshot: SnapshotId; readonly driver: string; readonly token: Uint8Array }
  readonly defaults: Pick<ImageDefaults, 'env' | 'user' | 'workdir'>
}

/**
 * Looks up what a sandbox's next machine is made from: what its disk lies on, where there is one, else what was asked
 * for, which may have to be fetched first.
 */
export async function findGround(
  parts: NodeParts,
  spec: SandboxSpec,
  previous: EndedRecord | undefined,
  progress: (step: string) => void,
  signal: AbortSignal,
): Promise<Ground> {
  if (previous?.disk !== undefined) {
    return previous.image === undefined ? hostGround() : await imageGround(parts, previous.image)
  }
  const { from } = spec
  switch (from.kind) {
    case 'host':
      return hostGround()
    case 'image':
      return await imageGround(parts, from.image)
    case 'source':
      return leased(await parts.images.fetch(from.source, { signal, progress: ({ step }) => progress(step) }))
    case 'snapshot':
      return await findSavedGround(parts, from.snapshot, parts.snapshots.find(from.snapshot))
  }
}

/** Of a saved memory, with what its machine stood on. */
export async function findSavedGround(
  parts: NodeParts,
  snapshot: SnapshotId,
  { driver, image, token }: Pick<SavedMemory, 'driver' | 'image' | 'token'>,
): Promise<Ground> {
  const ground = image === undefined ? hostGround() : await imageGround(parts, image)
  if (ground.from.kind === 'snapshot') throw new CoveError('internal', 'a snapshot stands on a snapshot')
  return {
    ...ground,
    from: { kind: 'snapshot', id: snapshot, root: ground.from },
    saved: { snapshot, driver, token },
    [Symbol.dispose]: () => ground[Symbol.dispose](),
  }
}

function hostGround(): Ground {
  return { from: { kind: 'host' }, defaults: { env: {} }, [Symbol.dispose]: () => undefined }
}

async function imageGround(parts: NodeParts, image: ImageId): Promise<Ground> {
  return leased(await parts.images.lease(image))
}

function leased(lease: Awaited<ReturnType<NodeParts['images']['lease']>>): Ground {
  const { info, root } = lease
  return { from: root, image: info.id, defaults: info.defaults, [Symbol.dispose]: () => lease[Symbol.dispose]() }
}
