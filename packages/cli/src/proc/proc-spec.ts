import { parseReadyCheck, parseRestartPolicy } from '@cove/runner'
import type { Fields } from './private-json.ts'

export const BACKENDS = ['auto', 'native', 'docker', 'nix'] as const
export type BackendChoice = (typeof BACKENDS)[number]

/** What was asked for, as it is kept: all that a later start needs. */
export interface ProcSpec {
  readonly version: 1
  readonly name: string
  /** Another one for every supervisor: what the one before has written is not taken for its successor's. */
  readonly supervisor: string
  readonly backend: BackendChoice
  readonly program: string
  readonly args: readonly string[]
  /** Where it was asked for: processes of this machine run here, and the flake is looked for here. */
  readonly directory: string
  /** Inside a container. */
  readonly workdir?: string | undefined
  /** Only what was named; the rest is that of whoever starts it. */
  readonly environment: Readonly<Record<string, string>>
  /** As they were written. */
  readonly restart: string
  readonly ready?: string | undefined
  readonly readyTimeoutMs: number
  readonly graceMs: number
  readonly logBytes: number
  readonly image?: string | undefined
  /** `8080:80` each: of this machine, and of the container. */
  readonly ports: readonly string[]
  /** `/here:/there` or `/here:/there:ro` each. */
  readonly volumes: readonly string[]
}

export function readSpec(fields: Fields): ProcSpec {
  if (fields.number('version') !== 1) throw new Error('it is of another version of Cove')
  const text = (name: string): string => fields.text(name)
  const backend = BACKENDS.find((choice) => choice === text('backend'))
  if (backend === undefined) throw new Error('backend is none')
  const restart = text('restart')
  parseRestartPolicy(restart)
  const ready = fields.maybe('ready', text)
  if (ready !== undefined) parseReadyCheck(ready)
  return {
    version: 1,
    name: text('name'),
    supervisor: text('supervisor'),
    backend,
    program: text('program'),
    args: fields.texts('args'),
    directory: text('directory'),
    workdir: fields.maybe('workdir', text),
    environment: fields.table('environment'),
    restart,
    ready,
    readyTimeoutMs: fields.number('readyTimeoutMs'),
    graceMs: fields.number('graceMs'),
    logBytes: fields.number('logBytes'),
    image: fields.maybe('image', text),
    ports: fields.texts('ports'),
    volumes: fields.texts('volumes'),
  }
}
