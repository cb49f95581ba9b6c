import { CoveError } from '@cove/domain'
import type { Containerd } from '@cove/containerd-engine'

/** The folder that a machine writes to: of an overlay, or all of it where nothing lies below. */
export async function upperOf(containerd: Containerd, key: string): Promise<string> {
  const [mount] = await containerd.snapshots.mounts(key)
  const upper = mount?.options.find((option) => option.startsWith('upperdir='))?.slice('upperdir='.length)
  const path = upper ?? (mount?.type === 'bind' ? mount.source : undefined)
  if (path === undefined) throw new CoveError('unsupported', `what is written to ${key} cannot be told apart`)
  return path
}
