import type { MessageInitShape } from '@bufbuild/protobuf'
import { timestampFromMs } from '@bufbuild/protobuf/wkt'
import type { SnapshotSchema, SnapshotService } from '@cove/api'
import type { SnapshotRecord } from '../../snapshots/snapshot-record.ts'
import type { Snapshots } from '../../snapshots/snapshots.ts'
import type { Methods } from './call.ts'
import { checkRef, parseKind } from './from-wire.ts'
import { toSnapshotKind } from './to-wire.ts'

export function snapshotMethods(snapshots: Snapshots): Methods<typeof SnapshotService> {
  return {
    async createSnapshot({ sandbox, kind, name, labels }, { caller, signal }) {
      const request = { kind: 'filesystem' as const, ...parseKind(kind), labels, ...(name === '' ? {} : { name }) }
      return { snapshot: toSnapshot(await snapshots.create(caller, checkRef(sandbox), request, signal)) }
    },
    async getSnapshot({ id }, { caller }) {
      return { snapshot: toSnapshot(await snapshots.get(caller, checkRef(id, 'id'))) }
    },
    async listSnapshots({ sandbox }, { caller }) {
      const found = await snapshots.list(caller, sandbox === '' ? undefined : sandbox)
      return { snapshots: found.map(toSnapshot) }
    },
    async deleteSnapshot({ id }, { caller }) {
      await snapshots.delete(caller, checkRef(id, 'id'))
      return {}
    },
  }
}

export function toSnapshot(record: SnapshotRecord): MessageInitShape<typeof SnapshotSchema> {
  return {
    id: record.id,
    project: record.project,
    name: record.name ?? '',
    kind: toSnapshotKind(record.kind),
    sandbox: record.sandbox ?? '',
    template: record.spec.template,
    driver: record.driver ?? '',
    image: record.image ?? '',
    bytes: BigInt(record.bytes),
    createdAt: timestampFromMs(record.createdAt),
    labels: { ...record.labels },
    node: record.node,
    details: { ...record.details },
  }
}
