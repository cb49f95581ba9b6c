import { CoveError, type Store } from '@cove/domain'
import { NamedRecords } from '../named-records.ts'
import type { Resolved } from '../sandboxes/resolve.ts'
import { parseSnapshotRecord, type SnapshotRecord } from './snapshot-record.ts'

export type SnapshotRecords = NamedRecords<SnapshotRecord>

export function snapshotRecords(store: Store): SnapshotRecords {
  return new NamedRecords({
    store,
    prefix: 'snapshot',
    what: 'snapshot',
    notFound: 'snapshot-not-found',
    parse: parseSnapshotRecord,
  })
}

/** What a create needs to know of snapshots. */
export class SnapshotBook {
  readonly records: SnapshotRecords

  constructor(store: Store) {
    this.records = snapshotRecords(store)
  }

  /** What a sandbox that is made of it gets. */
  async resolve(project: string, ref: string): Promise<Resolved> {
    const { value } = await this.records.get(project, ref)
    if (value.state !== 'ready') {
      throw new CoveError('wrong-state', `snapshot ${ref} is still being saved`, { snapshot: value.id })
    }
    return resolvedOf(value, this.records)
  }
}

export function resolvedOf(record: SnapshotRecord, records: SnapshotRecords): Resolved {
  const { limits, ...spec } = record.spec
  return {
    spec: {
      ...spec,
      from:
        record.kind === 'memory' || record.image === undefined
          ? { kind: 'snapshot', snapshot: record.id }
          : { kind: 'image', image: record.image },
      ...(record.hidden === true ? {} : { snapshot: record.id }),
      volumes: [],
    },
    limits,
    compare: [records.exists(record.id)],
  }
}
