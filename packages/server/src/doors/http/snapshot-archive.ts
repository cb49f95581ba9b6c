import { create, toJsonString } from '@bufbuild/protobuf'
import { SnapshotSchema } from '@cove/api'
import type { Principal } from '../../auth/principal.ts'
import { bad } from '../../sandboxes/request.ts'
import type { SnapshotRecord } from '../../snapshots/snapshot-record.ts'
import type { Snapshots } from '../../snapshots/snapshots.ts'
import { toSnapshot } from '../connect/snapshot-methods.ts'
import { clientSignal, drained, type Exchange } from '../exchange.ts'
import type { Query } from './query.ts'
import { uploadBody } from './upload-body.ts'

interface Asked {
  readonly snapshots: Snapshots
  readonly caller: Principal
  readonly query: Query
  readonly stalledMs: number
}

/** `GET`: the image that a snapshot of files is, as one archive of unknown length; one that breaks off was not sent whole. */
export async function getArchive(
  { response }: Exchange,
  ref: string,
  { snapshots, caller, query, onBegun }: Asked & { readonly onBegun: () => void },
): Promise<void> {
  const format = query.text('format') ?? 'oci'
  if (format !== 'oci' && format !== 'docker') throw bad('format', 'must be oci or docker')
  const signal = clientSignal(response, caller.ended)
  const { record, base, content } = await snapshots.export(caller, ref, format, signal)
  response.setHeader('content-type', 'application/x-tar')
  response.setHeader('content-disposition', `attachment; filename="${record.name ?? record.id}.tar"`)
  response.setHeader('x-content-type-options', 'nosniff')
  response.setHeader('cove-image-base', base)
  onBegun()
  for await (const chunk of content) if (!response.write(chunk)) await drained(response)
  response.end()
}

/** `POST`: a snapshot of an archive, either format, of an image; 201 and the snapshot as JSON. */
export async function postArchive(
  { request, response }: Exchange,
  { snapshots, caller, query, stalledMs, onMade }: Asked & { readonly onMade: (made: SnapshotRecord) => void },
): Promise<void> {
  const name = query.text('name') ?? ''
  const signal = clientSignal(response, caller.ended)
  const options = { labels: {}, ...(name === '' ? {} : { name }) }
  const made = await snapshots.import(caller, uploadBody(request, stalledMs), options, signal)
  onMade(made)
  const body = toJsonString(SnapshotSchema, create(SnapshotSchema, toSnapshot(made)))
  response.statusCode = 201
  response.setHeader('content-type', 'application/json')
  response.setHeader('content-length', Buffer.byteLength(body))
  response.end(body)
}
