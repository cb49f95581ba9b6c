import { limitArguments, type LayerLimits } from './limits.ts'
import type { LayerReport } from './layer-report.ts'
import { makeTree } from './make-tree.ts'
import { unpackArchive } from './unpack-layer.ts'

export interface UnpackFilesRequest {
  /** Not compressed; `.wh.` names mean nothing special in it. */
  readonly tar: AsyncIterable<Uint8Array>
  /** A folder that is not there yet, in one that is; gone again when anything fails. */
  readonly into: string
  /** Where the files belong in the image: absolute. */
  readonly at: string
  /** Instead of the owners in the archive. */
  readonly owner?: { readonly uid: number; readonly gid: number }
  /**
   * The unpacked layers below, the first on top: folders on the way that are there keep owner, mode and time, and links
   * on the way are followed, within the image.
   */
  readonly over?: readonly string[]
  readonly limits?: Partial<LayerLimits>
  readonly sync?: boolean
  readonly signal?: AbortSignal
}

/** Makes a layer of files that are put into an image. Errors as of `unpackLayer`. */
export async function unpackFiles(program: string, request: UnpackFilesRequest): Promise<LayerReport> {
  const { tar, into, at, owner, over = [], limits, sync = false, signal } = request
  const args = ['unpack', '--into', into, '--plain', '--at', at, ...limitArguments(limits)]
  if (owner !== undefined) args.push('--owner', `${owner.uid}:${owner.gid}`)
  for (const lower of over) args.push('--over', lower)
  if (sync) args.push('--sync')
  return await makeTree(program, into, async () => {
    const { entries, bytes, implied, skipped } = await unpackArchive(program, args, {
      compressed: tar,
      compression: 'none',
      limits,
      signal,
    })
    return { entries, bytes, implied, skipped }
  })
}
