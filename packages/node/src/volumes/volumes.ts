import { CoveError, type VolumeMount, type VolumeUse } from '@cove/domain'

/** Directories of this node that outlive sandboxes. */
export class Volumes {
  /** What a machine has to be shown. */
  async mountsFor(uses: readonly VolumeUse[]): Promise<readonly VolumeMount[]> {
    if (uses.length === 0) return []
    throw new CoveError('unsupported', 'this node keeps no volumes')
  }
}
