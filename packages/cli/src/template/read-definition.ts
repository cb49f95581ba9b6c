import { readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { CoveError } from '@cove/domain'
import { Template, type LimitOptions } from '@cove/sdk'
import type { ValueOf } from '../project/field.ts'
import { readYaml } from '../project/read-yaml.ts'
import { definitionSource } from './definition-source.ts'
import { TEMPLATE_FIELDS } from './template-fields.ts'

export const TEMPLATE_FILE = 'cove.template.yaml'
const MAX_BYTES = 1024 * 1024

type Said = { readonly [Name in keyof typeof TEMPLATE_FIELDS]?: ValueOf<(typeof TEMPLATE_FIELDS)[Name]> }
type Step = NonNullable<Said['steps']>[number]

/** A template as a file describes it. */
export interface Definition {
  readonly path: string
  /** What `copy` is relative to. */
  readonly directory: string
  readonly template: Template
  readonly name?: string
  readonly driver?: string
  readonly buildLimits?: LimitOptions
  /** Of the build, the start command's trial included. */
  readonly steps: number
}

/** A file, or the one in a directory; `source` in place of its own. */
export function readDefinition(place: string, source?: string): Definition {
  const path = isDirectory(place) ? join(place, TEMPLATE_FILE) : place
  return { ...parseDefinition(readText(path), path, source), path, directory: dirname(path) }
}

/** `chosen`: the source, whatever the file says. */
export function parseDefinition(text: string, path: string, chosen?: string): Omit<Definition, 'path' | 'directory'> {
  const said = readYaml(
    text,
    path,
    TEMPLATE_FIELDS,
    'Correct the file; docs/reference/cove.template.schema.json describes it.',
  )
  if (said.source === undefined) throw wrong(path, 'source is missing')
  let template = new Template(chosen ?? definitionSource(said.source, dirname(path), path))
  for (const [index, step] of (said.steps ?? []).entries()) template = addStep(template, step, `steps[${index}]`, path)
  if (said.description !== undefined) template = template.describe(said.description)
  if (said.network !== undefined) template = template.network(said.network)
  if (said.limits !== undefined) template = template.limits(limitsOf(said.limits))
  if (said.memory !== undefined) template = template.memory(said.memory)
  template = addStart(template, said.start, path)
  const { driver, limits } = said.build ?? {}
  return {
    template,
    steps: (said.steps?.length ?? 0) + (said.start === undefined ? 0 : 1),
    ...(said.name === undefined ? {} : { name: said.name }),
    ...(driver === undefined ? {} : { driver }),
    ...(limits === undefined ? {} : { buildLimits: limitsOf(limits) }),
  }
}

function addStep(template: Template, step: Step | undefined, place: string, path: string): Template {
  const { run, copy, owner, ignore, env, workdir, user } = step ?? {}
  const kinds = [run, copy, env, workdir, user].filter((value) => value !== undefined)
  if (kinds.length !== 1) throw wrong(path, `${place} must say exactly one of run, copy, env, workdir and user`)
  if (copy === undefined && (owner !== undefined || ignore !== undefined)) {
    throw wrong(path, `${place} has owner or ignore, which belong to copy`)
  }
  if (run !== undefined) return template.run(run)
  if (env !== undefined) return template.env(env)
  if (workdir !== undefined) return template.workdir(workdir)
  if (user !== undefined) return template.user(user)
  const colon = copy?.indexOf(':') ?? -1
  if (copy === undefined || colon < 1 || colon === copy.length - 1) {
    throw wrong(path, `${place}.copy must be <path>:<target>, such as src:/app`)
  }
  const [uid, gid] = owner?.split(':').map(Number) ?? []
  return template.copy(copy.slice(0, colon), copy.slice(colon + 1), {
    ...(uid === undefined ? {} : { uid }),
    ...(gid === undefined ? {} : { gid }),
    ...(ignore === undefined ? {} : { ignore }),
  })
}

function addStart(template: Template, start: Said['start'], path: string): Template {
  if (start === undefined) return template
  if (start.command === undefined) throw wrong(path, 'start.command is missing')
  const { ready } = start
  if (ready === undefined) return template.start(start.command)
  const { port, command, timeout } = ready
  if ((port === undefined) === (command === undefined)) {
    throw wrong(path, 'start.ready must say exactly one of port and command')
  }
  return template.start(start.command, {
    ...(port === undefined ? {} : { port }),
    ...(command === undefined ? {} : { command }),
    ...(timeout === undefined ? {} : { timeoutMs: timeout }),
  })
}

function limitsOf({ memory, cpus, processes, disk }: NonNullable<Said['limits']>): LimitOptions {
  return {
    ...(memory === undefined ? {} : { memoryBytes: memory }),
    ...(cpus === undefined ? {} : { cpus }),
    ...(processes === undefined ? {} : { processes }),
    ...(disk === undefined ? {} : { diskBytes: disk }),
  }
}

function wrong(path: string, problem: string): CoveError {
  return new CoveError('config-invalid', `${path}: ${problem}`, { path }, { fix: 'Correct the file.' })
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch {
    return false
  }
}

function readText(path: string): string {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    throw new CoveError(
      'io-error',
      `there is no definition at ${path}`,
      { path },
      {
        cause,
        fix: `Write a ${TEMPLATE_FILE}, or name the file or directory of another.`,
      },
    )
  }
  if (text.length > MAX_BYTES) throw new CoveError('config-invalid', `${path} is over 1 MiB`, { path })
  return text
}
