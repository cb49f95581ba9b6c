import {
  parseImageId,
  parseSnapshotId,
  type ImageId,
  type Limits,
  type Network,
  type SnapshotId,
  type StartCommand,
} from '@cove/domain'

/** What a build is told that does not change while it runs. */
export interface TemplatePlan {
  readonly project: string
  readonly name: string
  readonly tag: string
  /** As it was asked for. */
  readonly source: string
  readonly description: string
  readonly start?: StartCommand
  /** What sandboxes have unless they ask for something else. */
  readonly limits: Limits
  /** In words for people. */
  readonly steps: readonly string[]
  /** It is to be kept with its memory too. */
  readonly memoryWish?: MemoryWish
}

export interface MemoryWish {
  /** Default: one that can. */
  readonly driver?: string
  readonly network: Network
}

/** A machine of a template's version, saved with its start command running. */
export interface MemoryRecord {
  readonly snapshot: SnapshotId
  readonly driver: string
  /** What it was made with; only a sandbox with the same goes on from it. */
  readonly limits: Limits
  readonly network: Network
  readonly bytes: number
  /** Unix milliseconds. */
  readonly createdAt: number
  /** Why the last one that should have gone on from it did not. */
  readonly problem?: string
}

/** One version of a template; its image names it for ever. */
export interface TemplateRecord extends TemplatePlan {
  readonly image: ImageId
  readonly build: string
  /** Of its layers, unpacked. */
  readonly bytes: number
  /** Unix milliseconds. */
  readonly createdAt: number
  readonly node: string
  /** Such as `linux/amd64`. */
  readonly platform: string
  readonly env: Readonly<Record<string, string>>
  readonly workdir?: string
  readonly user?: string
  readonly memory?: MemoryRecord
}

export interface BuildRecord extends TemplatePlan {
  readonly id: string
  readonly node: string
  /** Unix milliseconds. */
  readonly startedAt: number
  readonly state: 'building' | 'done' | 'failed'
  /** What it made. */
  readonly image?: ImageId
  readonly failure?: BuildFailure
}

export interface BuildFailure {
  readonly code: string
  readonly message: string
  readonly fix: string
}

export function parseTemplateRecord(value: unknown): TemplateRecord {
  const fields = objectOf(value)
  return {
    ...parsePlan(fields),
    image: parseImageId(textOf(fields, 'image')),
    build: textOf(fields, 'build'),
    bytes: numberOf(fields, 'bytes'),
    createdAt: numberOf(fields, 'createdAt'),
    node: textOf(fields, 'node'),
    platform: textOf(fields, 'platform'),
    env: textsOf(fields['env']),
    ...optionalText(fields, 'workdir'),
    ...optionalText(fields, 'user'),
    ...(fields['memory'] === undefined ? {} : { memory: parseMemory(objectOf(fields['memory'])) }),
  }
}

export function parseBuildRecord(value: unknown): BuildRecord {
  const fields = objectOf(value)
  const state = fields['state']
  if (state !== 'building' && state !== 'done' && state !== 'failed') throw new TypeError('unknown state')
  const { image, failure } = fields
  return {
    ...parsePlan(fields),
    id: textOf(fields, 'id'),
    node: textOf(fields, 'node'),
    startedAt: numberOf(fields, 'startedAt'),
    state,
    ...(typeof image === 'string' ? { image: parseImageId(image) } : {}),
    ...(failure === undefined ? {} : { failure: parseFailure(objectOf(failure)) }),
  }
}

type Fields = Readonly<Record<string, unknown>>

function parsePlan(fields: Fields): TemplatePlan {
  const { start, steps } = fields
  if (!Array.isArray(steps)) throw new TypeError('no steps')
  return {
    project: textOf(fields, 'project'),
    name: textOf(fields, 'name'),
    tag: textOf(fields, 'tag'),
    source: textOf(fields, 'source'),
    description: textOf(fields, 'description'),
    ...(start === undefined ? {} : { start: parseStart(objectOf(start)) }),
    limits: objectOf(fields['limits']),
    steps: steps.map(String),
    ...(fields['memoryWish'] === undefined ? {} : { memoryWish: parseWish(objectOf(fields['memoryWish'])) }),
  }
}

function parseWish(fields: Fields): MemoryWish {
  return { ...optionalText(fields, 'driver'), network: networkOf(fields) }
}

function parseMemory(fields: Fields): MemoryRecord {
  return {
    snapshot: parseSnapshotId(textOf(fields, 'snapshot')),
    driver: textOf(fields, 'driver'),
    limits: objectOf(fields['limits']),
    network: networkOf(fields),
    bytes: numberOf(fields, 'bytes'),
    createdAt: numberOf(fields, 'createdAt'),
    ...optionalText(fields, 'problem'),
  }
}

function networkOf(fields: Fields): Network {
  const { kind, allow } = objectOf(fields['network'])
  return kind === 'internet' && Array.isArray(allow) ? { kind, allow: allow.map(String) } : { kind: 'none' }
}

export function parseStart(fields: Fields): StartCommand {
  const { argv, ready } = fields
  if (!Array.isArray(argv)) throw new TypeError('no argv')
  if (ready === undefined) return { argv: argv.map(String) }
  const check = objectOf(ready)
  const timeoutMs = numberOf(check, 'timeoutMs')
  if (check['kind'] === 'port')
    return { argv: argv.map(String), ready: { kind: 'port', port: numberOf(check, 'port'), timeoutMs } }
  if (!Array.isArray(check['argv'])) throw new TypeError('unknown ready check')
  return { argv: argv.map(String), ready: { kind: 'command', argv: check['argv'].map(String), timeoutMs } }
}

function parseFailure(fields: Fields): BuildFailure {
  return { code: textOf(fields, 'code'), message: textOf(fields, 'message'), fix: textOf(fields, 'fix') }
}

function objectOf(value: unknown): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new TypeError('not an object')
  return value as Fields
}

function textOf(fields: Fields, name: string): string {
  const value = fields[name]
  if (typeof value !== 'string') throw new TypeError(`${name} is not a text`)
  return value
}

function optionalText<Name extends string>(fields: Fields, name: Name): { readonly [Key in Name]?: string } {
  const value = fields[name]
  return typeof value === 'string' ? ({ [name]: value } as { readonly [Key in Name]?: string }) : {}
}

function numberOf(fields: Fields, name: string): number {
  const value = fields[name]
  if (typeof value !== 'number') throw new TypeError(`${name} is not a number`)
  return value
}

function textsOf(value: unknown): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(objectOf(value)).map(([key, text]) => [key, String(text)]))
}
