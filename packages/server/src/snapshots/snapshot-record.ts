import {
  parseImageId,
  parseSandboxId,
  parseSnapshotId,
  type ImageId,
  type Limits,
  type SandboxId,
  type SandboxSpec,
  type SnapshotId,
} from '@cove/domain'
import { parseStart } from '../templates/template-record.ts'

/** One saved state as the store has it. */
export interface SnapshotRecord {
  readonly id: SnapshotId
  readonly project: string
  readonly name?: string
  readonly kind: 'filesystem' | 'memory'
  /** `saving` has not been acknowledged, and is removed when nobody brings it to an end. */
  readonly state: 'saving' | 'ready'
  /** Only there for as long as a fork takes. */
  readonly hidden?: boolean
  /** Absent for one that was imported. */
  readonly sandbox?: SandboxId
  readonly driver?: string
  readonly image?: ImageId
  readonly bytes: number
  /** What a memory was saved with, such as a version. */
  readonly details?: Readonly<Record<string, string>>
  /** Unix milliseconds. */
  readonly createdAt: number
  readonly labels: Readonly<Record<string, string>>
  readonly node: string
  /** What sandboxes that are made of it have unless they are told otherwise. */
  readonly spec: Pick<SandboxSpec, 'template' | 'env' | 'user' | 'workdir' | 'start'> & { readonly limits: Limits }
}

export function parseSnapshotRecord(value: unknown): SnapshotRecord {
  const fields = objectOf(value)
  const { id, project, kind, state, bytes, createdAt, node, labels, sandbox, image } = fields
  if (typeof id !== 'string' || typeof project !== 'string' || typeof node !== 'string') throw new TypeError('no texts')
  if (kind !== 'filesystem' && kind !== 'memory') throw new TypeError('unknown kind')
  if (state !== 'saving' && state !== 'ready') throw new TypeError('unknown state')
  if (typeof bytes !== 'number' || typeof createdAt !== 'number') throw new TypeError('no numbers')
  const spec = objectOf(fields['spec'])
  if (typeof spec['template'] !== 'string') throw new TypeError('no template')
  return {
    id: parseSnapshotId(id),
    project,
    ...textField(fields, 'name'),
    kind,
    state,
    ...(fields['hidden'] === true ? { hidden: true } : {}),
    ...(typeof sandbox === 'string' ? { sandbox: parseSandboxId(sandbox) } : {}),
    ...textField(fields, 'driver'),
    ...(typeof image === 'string' ? { image: parseImageId(image) } : {}),
    bytes,
    ...(fields['details'] === undefined ? {} : { details: textsOf(fields['details']) }),
    createdAt,
    labels: textsOf(labels),
    node,
    spec: {
      template: spec['template'],
      env: textsOf(spec['env']),
      ...textField(spec, 'user'),
      ...textField(spec, 'workdir'),
      ...(spec['start'] === undefined ? {} : { start: parseStart(objectOf(spec['start'])) }),
      limits: objectOf(spec['limits'] ?? {}),
    },
  }
}

type Fields = Readonly<Record<string, unknown>>

function objectOf(value: unknown): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new TypeError('not an object')
  return value as Fields
}

function textField<Name extends string>(fields: Fields, name: Name): { readonly [Key in Name]?: string } {
  const value = fields[name]
  return typeof value === 'string' ? ({ [name]: value } as { readonly [Key in Name]?: string }) : {}
}

function textsOf(value: unknown): Readonly<Record<string, string>> {
  const texts: Record<string, string> = {}
  for (const [key, text] of Object.entries(objectOf(value ?? {}))) {
    if (typeof text !== 'string') throw new TypeError(`${key} is not a text`)
    texts[key] = text
  }
  return texts
}
