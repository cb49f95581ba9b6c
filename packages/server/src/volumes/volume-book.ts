import { CoveError, type Compare, type Store, type VolumeUse } from '@cove/domain'
import { NamedRecords } from '../named-records.ts'
import { parseVolumeRecord, type VolumeRecord } from './volume-record.ts'

/** A volume as a create names it. */
export interface VolumeWish {
  readonly volume: string
  readonly path: string
  readonly readOnly: boolean
}

export const MAX_VOLUMES = 16

/** What a create needs to know of volumes. */
export class VolumeBook {
  readonly records: NamedRecords<VolumeRecord>

  constructor(store: Store) {
    this.records = new NamedRecords({
      store,
      prefix: 'volume',
      what: 'volume',
      notFound: 'volume-not-found',
      parse: parseVolumeRecord,
    })
  }

  async resolve(
    project: string,
    wishes: readonly VolumeWish[],
  ): Promise<{ readonly uses: readonly VolumeUse[]; readonly compare: readonly Compare[] }> {
    checkPaths(wishes)
    const uses: VolumeUse[] = []
    const compare: Compare[] = []
    for (const { volume, path, readOnly } of wishes) {
      const entry = await this.records.get(project, volume)
      const { id, name, state, readOnly: always } = entry.value
      if (state !== 'ready') throw new CoveError('wrong-state', `volume ${volume} is ${state}`, { volume, state })
      uses.push({ volume: id, name, path, readOnly: readOnly || always })
      compare.push(this.records.unchanged(entry))
    }
    return { uses, compare }
  }
}

const FORBIDDEN = ['/proc', '/sys', '/dev', '/run']

function checkPaths(wishes: readonly VolumeWish[]): void {
  if (wishes.length > MAX_VOLUMES) throw bad(`names more than ${MAX_VOLUMES} volumes`)
  const seen: string[] = []
  for (const { path } of wishes) {
    const shown = JSON.stringify(path.slice(0, 80))
    const parts = path.split('/').slice(1)
    const normal = path.startsWith('/') && parts.every((part) => part !== '' && part !== '.' && part !== '..')
    if (!normal || path.includes('\0') || Buffer.byteLength(path) > 1_024) {
      throw bad(`has the path ${shown}, which must be absolute, without "..", "." and a slash at its end`)
    }
    if (FORBIDDEN.some((folder) => path === folder || path.startsWith(`${folder}/`))) {
      throw bad(`has the path ${shown}; ${FORBIDDEN.join(', ')} belong to the sandbox itself`)
    }
    const other = seen.find((one) => one === path || one.startsWith(`${path}/`) || path.startsWith(`${one}/`))
    if (other !== undefined) throw bad(`has the path ${shown}, which lies in another one or holds it`)
    seen.push(path)
  }
}

function bad(problem: string): CoveError {
  return new CoveError('invalid-argument', `volumes ${problem}`, { field: 'volumes' })
}
