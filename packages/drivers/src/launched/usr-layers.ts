import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import type { MachineSpec } from '@cove/domain'

/** Folders to lay over the host's `/usr`: those named `usr` in the layers over the host's programs. */
export async function usrLayersOf({ from }: MachineSpec): Promise<readonly string[]> {
  const root = from.kind === 'snapshot' ? from.root : from
  if (root.kind !== 'host' || root.layers === undefined) return []
  const found = await Promise.all(
    root.layers.map(async (layer) => {
      const path = join(layer, 'usr')
      const stats = await lstat(path).catch(() => undefined)
      return stats?.isDirectory() === true ? [path] : []
    }),
  )
  return found.flat()
}
