import { randomUUID } from 'node:crypto'
import type { Container, DockerEngine } from '@cove/docker-engine'
import { CoveError, type CreateContext, type DiskContent, type MachineId } from '@cove/domain'
import type { Names } from './names.ts'
import { topLayer } from './top-layer.ts'

interface Source {
  readonly id: MachineId
  readonly container: Pick<Container, 'id'>
  readonly engine: DockerEngine
  readonly names: Names
}

/** The label by which the layer is found in what the engine saves. */
const MARK = 'cove.saved'

/**
 * What a machine has written, as the engine keeps it: it becomes an image over the machine's own for a moment, and of
 * that image's archive the topmost layer is taken. The machine stands still already, until `release`.
 */
export async function readDisk(
  { id, container, engine, names }: Source,
  { signal, progress }: CreateContext,
  release: () => Promise<void>,
): Promise<DiskContent & AsyncDisposable> {
  const mark = randomUUID()
  const name = `${names.saved}:${mark}`
  const giveUp = new AbortController()
  const end = async (): Promise<void> => {
    giveUp.abort(new CoveError('cancelled', `the disk of machine ${id} is no longer read`))
    await engine.removeImage(name).catch(() => undefined)
    await release()
  }
  try {
    progress('saving what the machine has written')
    const labels = { [MARK]: mark }
    await engine.commitContainer(container.id, { repository: names.saved, tag: mark, pause: false, labels }, signal)
    const image = await engine.inspectImage(name, signal)
    const archive = await engine.saveImage(name, AbortSignal.any([signal, giveUp.signal]))
    const tar = topLayer(archive, { mark, diffId: image.layers.at(-1) ?? '' })
    return { kind: 'tar', tar, [Symbol.asyncDispose]: end }
  } catch (error) {
    await end()
    throw CoveError.from(error, signal.aborted ? 'cancelled' : 'driver-failed')
  }
}
