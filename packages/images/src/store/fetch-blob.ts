import { rm, stat } from 'node:fs/promises'
import { CoveError } from '@cove/domain'
import type { Compression, ImageSource, LayerBlob } from '../registry/image-source.ts'
import { blobFile } from './folders.ts'
import type { FetchedBlob, StoreParts } from './parts.ts'
import { sniffCompression } from './sniff-compression.ts'

export interface FetchBlobOptions {
  readonly signal: AbortSignal
  /** Bytes of it that are here. */
  readonly progress: (bytes: number) => void
}

/** The blob of a layer, as it is sent; once for all who want it at the same time. Held by the caller. */
export async function fetchBlob(
  parts: StoreParts,
  source: ImageSource,
  blob: LayerBlob,
  options: FetchBlobOptions,
): Promise<Compression> {
  using fetched = await parts.pulls.joinOrTry(blob.digest, options, async (signal, progress) => {
    return fetchedAs(await fetch(parts, source, blob, { signal, progress }))
  })
  return fetched.compression
}

/** One that is there was verified when it came, and put in place as a whole. */
async function fetch(
  parts: StoreParts,
  source: ImageSource,
  blob: LayerBlob,
  { signal, progress }: FetchBlobOptions,
): Promise<Compression> {
  const file = blobFile(parts.folders, blob.digest)
  await parts.rubbish.release([file, `${file}.part`])
  const there = await stat(file).catch(() => undefined)
  if (there?.size === blob.size) {
    progress(blob.size)
    return await sniffCompression(file)
  }
  await parts.step('fetch a layer')
  try {
    return await source.fetchLayer(blob, file, { signal, onBytes: progress })
  } catch (error) {
    // The part would keep the disk full: whoever shares it could then not even write down what is removed.
    if (error instanceof CoveError && error.code === 'no-space') await rm(`${file}.part`, { force: true })
    throw error
  }
}

function fetchedAs(compression: Compression): FetchedBlob {
  return { compression, again: () => fetchedAs(compression), [Symbol.dispose]: () => {} }
}
