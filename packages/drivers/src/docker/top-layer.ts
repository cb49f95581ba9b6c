import { CoveError } from '@cove/domain'
import { TarReader } from './tar-reader.ts'

/** Digest of a layer with nothing in it. */
const EMPTY = 'sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef'
/** Of a layer's description in older archives. */
const MAX_JSON_BYTES = 4 * 1024 * 1024
const REGULAR = '0'

/**
 * The topmost layer out of an archive as `docker save` writes it, while it streams. Newer engines name layers by their
 * digests. Older ones have a folder for each with a description, and only that of the topmost has the image's labels.
 */
export async function* topLayer(
  archive: AsyncIterable<Uint8Array>,
  { mark, diffId }: { readonly mark: string; readonly diffId: string },
): AsyncGenerator<Uint8Array> {
  const byDigest = `blobs/sha256/${diffId.slice('sha256:'.length)}`
  let folder: string | undefined
  for await (const entry of new TarReader(archive)) {
    const name = entry.name.replace(/^\.\//, '')
    if (name === byDigest || (folder !== undefined && name === `${folder}/layer.tar`)) {
      if (entry.type !== REGULAR) break
      yield* entry.content()
      return
    }
    const described = /^([0-9a-f]{64})\/json$/.exec(name)?.[1]
    if (described === undefined) continue
    if (entry.size > MAX_JSON_BYTES) throw broken('the description of a layer is too large')
    const text = Buffer.concat(await Array.fromAsync(entry.content())).toString('utf8')
    if (text.includes(mark)) folder = described
  }
  // The same layer twice is told by a link; that of a machine that has written nothing is the one that repeats.
  if (diffId === EMPTY) yield Buffer.alloc(1024)
  else throw broken('the layer is not in it')
}

function broken(message: string): CoveError {
  return new CoveError('driver-failed', `the Docker Engine's archive of a machine cannot be read: ${message}`)
}
