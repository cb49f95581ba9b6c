import { CoveError } from '@cove/domain'
import { FieldsWriter, FrameError } from '@cove/frames'
import type { CgroupSpec, HostProcessSpec, MountSpec, UserNamespaceSpec } from './host-process-spec.ts'

/** Bytes of one encoded specification, memory files included. */
export const MAX_SPEC_BYTES = 1024 * 1024

/** A specification as it goes over the wire. `invalid-argument` when a value cannot be written at all. */
export function encodeSpec(spec: HostProcessSpec): Buffer {
  try {
    return encode(spec)
  } catch (error) {
    if (!(error instanceof FrameError)) throw error
    throw new CoveError('invalid-argument', `the specification of ${spec.id}: ${error.message}`, {}, { cause: error })
  }
}

function encode(spec: HostProcessSpec): Buffer {
  const fields = new FieldsWriter().text(2, spec.id)
  if (spec.owner !== 'durable') {
    fields.fields(3, new FieldsWriter().number(1, spec.owner.pid).number(2, spec.owner.startTime))
  }
  fields.text(4, spec.note).texts(5, spec.argv)
  for (const [name, value] of Object.entries(spec.env)) {
    if (name === '' || name.includes('=')) {
      throw new CoveError('invalid-argument', 'the name of an environment variable is empty or has "="', {
        field: 'env',
      })
    }
    fields.text(6, `${name}=${value}`)
  }
  fields.text(7, spec.cwd).number(8, stdioNumber(spec.stdio))
  for (const folder of spec.folders ?? []) {
    const item = new FieldsWriter().text(1, folder.path).number(2, folder.mode)
    fields.fields(9, item.truth(3, folder.owner === 'mapped-root'))
  }
  for (const listen of spec.listen ?? []) {
    fields.fields(10, new FieldsWriter().number(1, listen.fd).text(2, listen.path).number(3, listen.mode))
  }
  for (const blob of spec.blobs ?? []) fields.fields(11, new FieldsWriter().number(1, blob.fd).bytes(2, blob.data))
  for (const file of spec.files ?? []) {
    fields.fields(12, new FieldsWriter().number(1, file.fd).text(2, file.path).truth(3, file.write))
  }
  for (const group of spec.cgroups ?? []) fields.fields(13, encodeCgroup(group))
  if (spec.userNamespace !== undefined) fields.fields(14, encodeUserNamespace(spec.userNamespace))
  for (const mount of spec.mounts ?? []) fields.fields(15, encodeMount(mount))
  for (const write of spec.writes ?? []) fields.fields(16, new FieldsWriter().text(1, write.path).text(2, write.text))
  for (const limit of spec.rlimits ?? []) {
    const item = new FieldsWriter().text(1, limit.name).number(2, bounded(limit.soft))
    fields.fields(17, item.number(3, bounded(limit.hard)))
  }
  if (spec.oomScoreAdj !== undefined) fields.number(18, spec.oomScoreAdj + OOM_SCORE_OFFSET)
  fields.texts(19, spec.removeOnDestroy).text(20, spec.networkOf)
  if (typeof spec.stdio === 'object' && 'fifos' in spec.stdio) {
    fields.text(21, spec.stdio.fifos.stdin).text(22, spec.stdio.fifos.stdout)
  }
  const encoded = fields.finish()
  if (encoded.length > MAX_SPEC_BYTES) {
    throw new CoveError('payload-too-large', `the specification of ${spec.id} is over 1 MiB`)
  }
  return encoded
}

function stdioNumber(stdio: HostProcessSpec['stdio']): number {
  if (stdio === undefined || stdio === 'null') return 0
  if (stdio === 'held') return 1
  if ('fifos' in stdio) return 4
  return stdio.piped === 'all' ? 3 : 2
}

// Numbers on the wire are never negative.
const OOM_SCORE_OFFSET = 1000

// The launcher never raises a limit, so anything at least this large means "as it is".
function bounded(limit: number): number {
  return limit > Number.MAX_SAFE_INTEGER ? Number.MAX_SAFE_INTEGER : limit
}

function encodeCgroup(group: CgroupSpec): FieldsWriter {
  const fields = new FieldsWriter().text(1, group.path).truth(2, group.join ?? false)
  for (const set of group.set) {
    fields.fields(3, new FieldsWriter().text(1, set.file).text(2, set.value).truth(3, set.required))
  }
  return fields
}

function encodeUserNamespace(namespace: UserNamespaceSpec): FieldsWriter {
  return namespace.kind === 'range'
    ? new FieldsWriter().number(1, 1).number(2, namespace.base).number(3, namespace.count)
    : new FieldsWriter().number(1, 2).number(2, namespace.uid).number(3, namespace.gid)
}

function encodeMount(mount: MountSpec): FieldsWriter {
  switch (mount.kind) {
    case 'bind':
      return new FieldsWriter()
        .number(1, 1)
        .text(2, mount.source)
        .text(3, mount.target)
        .truth(4, mount.readOnly)
        .truth(5, mount.recursive ?? false)
        .truth(9, mount.mapped ?? false)
    case 'overlay':
      return new FieldsWriter()
        .number(1, 2)
        .text(3, mount.target)
        .texts(6, mount.lower)
        .text(7, mount.upper)
        .text(8, mount.work)
        .truth(9, mount.mapped)
    case 'tmpfs':
      return new FieldsWriter().number(1, 3).text(3, mount.target).number(10, mount.sizeBytes).number(11, mount.mode)
    case 'image':
      return new FieldsWriter().number(1, 4).text(2, mount.image).text(3, mount.target)
    case 'devices':
      return new FieldsWriter().number(1, 5).text(3, mount.target)
  }
}
