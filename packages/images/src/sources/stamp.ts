import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { CoveError, type ParsedSource } from '@cove/domain'

/** `always`: nothing cheap tells whether it is still the same, so it is read every time. */
export type Stamp = { readonly text?: string } | 'always'

/** What tells whether a source on the node still is what it was. */
export async function stampOf(source: ParsedSource): Promise<Stamp> {
  switch (source.kind) {
    case 'oci-layout':
      return await fileStamp(join(source.path, 'index.json'), source.path)
    case 'oci-archive':
    case 'docker-archive':
    case 'tar':
      return await fileStamp(source.path, source.path)
    case 'directory':
    case 'dockerfile':
      await fileStamp(source.path, source.path)
      return 'always'
    default:
      return {}
  }
}

async function fileStamp(file: string, path: string): Promise<{ readonly text: string }> {
  try {
    const { dev, ino, size, mtimeMs, ctimeMs } = await stat(file)
    return { text: [dev, ino, size, mtimeMs, ctimeMs].join(' ') }
  } catch (cause) {
    throw new CoveError(
      'image-not-found',
      `${path} cannot be read on this node`,
      { path },
      {
        cause,
        fix: 'Check the path; it is one of the node, and what the daemon may read.',
      },
    )
  }
}
