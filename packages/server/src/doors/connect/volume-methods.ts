import type { MessageInitShape } from '@bufbuild/protobuf'
import { timestampFromMs } from '@bufbuild/protobuf/wkt'
import type { VolumeSchema, VolumeService } from '@cove/api'
import type { Volumes, VolumeView } from '../../volumes/volumes.ts'
import type { Methods } from './call.ts'
import { checkRef } from './from-wire.ts'

export function volumeMethods(volumes: Volumes): Methods<typeof VolumeService> {
  return {
    async createVolume({ name, sizeBytes, labels, source, readOnly }, { caller, signal }) {
      const request = {
        name,
        labels,
        readOnly,
        ...(sizeBytes === 0n ? {} : { sizeBytes: Number(sizeBytes) }),
        ...(source === '' ? {} : { source }),
      }
      return { volume: toVolume(await volumes.create(caller, request, signal)) }
    },
    async getVolume({ id }, { caller }) {
      return { volume: toVolume(await volumes.get(caller, checkRef(id, 'id'))) }
    },
    async listVolumes(_request, { caller }) {
      return { volumes: (await volumes.list(caller)).map(toVolume) }
    },
    async deleteVolume({ id }, { caller }) {
      await volumes.delete(caller, checkRef(id, 'id'))
      return {}
    },
  }
}

function toVolume({ record, usedBytes, sandboxes }: VolumeView): MessageInitShape<typeof VolumeSchema> {
  return {
    id: record.id,
    project: record.project,
    name: record.name,
    sizeBytes: BigInt(record.sizeBytes ?? 0),
    enforced: record.enforced,
    usedBytes: BigInt(usedBytes),
    sandboxes: [...sandboxes],
    createdAt: timestampFromMs(record.createdAt),
    labels: { ...record.labels },
    readOnly: record.readOnly,
    source: record.source ?? '',
    node: record.node,
  }
}
