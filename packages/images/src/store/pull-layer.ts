import { createReadStream } from 'node:fs'
import { rm, stat } from 'node:fs/promises'
import { CoveError } from '@cove/domain'
import type { Compression, ImageSource, LayerBlob } from '../registry/image-source.ts'
import { blobFile } from './folders.ts'
import { findLayer, newLayer } from './new-layer.ts'
import type { HeldLayer, StoreParts } from './parts.ts'
import { sniffCompression } from './sniff-compression.ts'

export interface PullOptions {
  readonly signal: AbortSignal
  /** Bytes of the blob that are here. */
  readonly progress: (bytes: number) => void
}

/** The layer, unpacked; pulled when it is not here. Everybody who wants it at the same time shares the work. */
export async function pullLayer(
  parts: StoreParts,
  source: ImageSource,
  layer: LayerBlob,
  options: PullOptions,
): Promise<HeldLayer> {
  const key = layer.diffId
  const here = findLayer(parts, key)
  if (here !== undefined) {
    options.progress(layer.size)
    return here
  }
  return await parts.pulls.join(key, options, async (signal, progress) => {
    return findLayer(parts, key) ?? (await pull(parts, source, layer, key, { signal, progress }))
  })
}

async function pull(
  parts: StoreParts,
  source: ImageSource,
  blob: LayerBlob,
  key: string,
  { signal, progress }: PullOptions,
): Promise<HeldLayer> {
  const file = blobFile(parts.folders, blob.digest)
  const compression = await fetchBlob(parts, source, blob, file, { signal, progress })
  return await parts.unpacking.run(signal, async () => {
    await parts.step('unpack a layer')
    await using layer = newLayer(parts)
    const unpacked = await parts.layers.unpack({
      compressed: createReadStream(file, { highWaterMark: 1 << 20 }),
      compression,
      into: layer.folder,
      signal,
    })
    const { diffId, bytes, entries, archiveBytes } = unpacked
    if (diffId !== blob.diffId) {
      await rm(file, { force: true })
      throw new CoveError('image-invalid', `the layer ${blob.digest} is not the one that the image is made of`, {
        want: blob.diffId,
        got: diffId,
      })
    }
    const { mediaType, digest, size } = blob
    return await layer.keep({
      key,
      diffId,
      bytes,
      entries,
      archiveBytes,
      blob: { mediaType, digest, size, compression },
    })
  })
}

/** One that is there was verified when it came and has been put in place as a whole. */
async function fetchBlob(
  parts: StoreParts,
  source: ImageSource,
  blob: LayerBlob,
  file: string,
  { signal, progress }: PullOptions,
): Promise<Compression> {
  const there = await stat(file).catch(() => undefined)
  if (there?.size === blob.size) {
    progress(blob.size)
    return await sniffCompression(file)
  }
  await parts.step('fetch a layer')
  return await source.fetchLayer(blob, file, { signal, onBytes: progress })
}
