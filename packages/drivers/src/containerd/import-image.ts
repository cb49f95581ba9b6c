import { CoveError, type CreateContext, type ImageId, type ImageStore, type Random, randomId } from '@cove/domain'
import { isNotFound, type Containerd } from '@cove/containerd-engine'
import { chainOf, findImage } from './image-manifest.ts'
import { TarReader } from '../docker/tar-reader.ts'

export const IMPORT_LEASE = 'import-'
const BLOB = /^(?:\.\/)?blobs\/sha256\/([0-9a-f]{64})$/
const INDEX = /^(?:\.\/)?index\.json$/
const MAX_JSON = 4 * 1024 * 1024
/** For what nobody is left to remove: the daemon was killed and never started again. */
const EXPIRES_MS = 24 * 60 * 60 * 1000

/**
 * Brings an image into containerd: its blobs into the content store, its layers unpacked on each other, as snapshots
 * named by what they come to. The name of the last; empty for an image of nothing. `hold` is called while all of it is
 * still kept. The blobs are let go afterwards, and so is everything of a failed or cancelled one.
 */
export async function importImage(
  containerd: Containerd,
  store: Pick<ImageStore, 'export'>,
  image: ImageId,
  context: CreateContext,
  random: Random,
  hold: (chain: string) => Promise<void>,
): Promise<string> {
  const { signal, progress } = context
  const lease = `${IMPORT_LEASE}${randomId(random)}`
  const call = { lease, signal }
  const expire = new Date(Date.now() + EXPIRES_MS).toISOString().replace(/\.\d+Z$/, 'Z')
  try {
    // Not cut short: whether there is a lease must be known.
    await containerd.leases.create(lease, { 'containerd.io/gc.expire': expire })
    progress('bringing the image into containerd')
    const index = await ingest(containerd, await store.export(image, 'oci', signal), lease, signal)
    const read = async (digest: string): Promise<unknown> =>
      parse(await containerd.content.read(digest, MAX_JSON, call).catch(missingBlob))
    const { layers } = await findImage(index, image, read)
    let chain = ''
    for (const [at, layer] of layers.entries()) {
      const name = chainOf(chain, layer.diffId)
      progress(`unpacking layer ${at + 1} of ${layers.length}`)
      const resource = { type: `snapshots/${containerd.snapshots.snapshotter}`, id: name }
      const known = await containerd.snapshots.stat(name, { signal }).then(
        () => true,
        (error: unknown) => {
          if (isNotFound(error)) return false
          throw error
        },
      )
      // Held before it is believed: whoever else has it may let it go now.
      const isNew = !known && (await unpack(containerd, layer, { parent: chain, name, key: `${lease}-${at}` }, call))
      if (!isNew) await containerd.leases.hold(lease, resource, { signal })
      chain = name
    }
    await hold(chain)
    return chain
  } finally {
    // Answers when the blobs are gone. Where that fails the lease expires, and what it holds goes by itself.
    await containerd.leases.delete(lease, { sync: true }).catch(() => undefined)
  }
}

/** The archive's index, once all blobs are stored. */
async function ingest(
  containerd: Containerd,
  archive: AsyncIterable<Uint8Array>,
  lease: string,
  signal: AbortSignal,
): Promise<unknown> {
  let index: unknown
  for await (const entry of new TarReader(archive)) {
    if (entry.type !== '0') continue
    const hex = BLOB.exec(entry.name)?.[1]
    if (hex !== undefined) {
      const blob = { digest: `sha256:${hex}`, bytes: entry.size }
      await containerd.content
        .write(`${lease}-${hex}`, blob, entry.content(), { lease, signal })
        .catch((error: unknown) => wrongBlob(error, blob.digest))
    } else if (INDEX.test(entry.name)) {
      if (entry.size > MAX_JSON) throw new CoveError('image-invalid', 'the index of the image is too large')
      index = parse(Buffer.concat(await Array.fromAsync(entry.content())))
    }
  }
  return index
}

/** False when another image with the same layers was faster: what it has made is as good. */
async function unpack(
  containerd: Containerd,
  layer: Parameters<Containerd['applyLayer']>[0] & { readonly diffId: string },
  { parent, name, key }: { readonly parent: string; readonly name: string; readonly key: string },
  call: { readonly lease: string; readonly signal: AbortSignal },
): Promise<boolean> {
  const mounts = await containerd.snapshots.prepare(key, parent, {}, call)
  try {
    const applied = await containerd.applyLayer(layer, mounts, call).catch(missingBlob)
    if (applied !== layer.diffId) {
      throw new CoveError('image-invalid', `a layer is ${applied} and should be ${layer.diffId}`)
    }
    await containerd.snapshots.commit(name, key, {}, call)
    return true
  } catch (error) {
    await containerd.snapshots.remove(key).catch(() => undefined)
    if (error instanceof CoveError && error.code === 'already-exists') return false
    throw error
  }
}

/** Digest or size are not what the archive says. */
function wrongBlob(error: unknown, digest: string): never {
  if (error instanceof CoveError && error.code === 'wrong-state') {
    throw new CoveError('image-invalid', `the blob ${digest} is not what its name says`, {}, { cause: error })
  }
  throw error
}

function missingBlob(error: unknown): never {
  if (isNotFound(error)) throw new CoveError('image-invalid', 'the image names a blob that is not in its archive')
  throw error
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'))
  } catch (cause) {
    throw new CoveError('image-invalid', 'a description of the image is not JSON', {}, { cause })
  }
}
