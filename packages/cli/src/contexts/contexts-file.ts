import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, isAbsolute, join } from 'node:path'
import { CoveError } from '@cove/domain'
import type { Io } from '../io.ts'

/** One Cove that the user works with. The key itself, or the file that holds it; never both. */
export interface ServerContext {
  readonly url: string
  readonly key?: string
  readonly keyFile?: string
  /** The project that is worked in when none is named. */
  readonly project?: string
}

export interface Contexts {
  readonly current?: string
  readonly contexts: Readonly<Record<string, ServerContext>>
}

/** The Cove of this machine; it is always there and is in no file. */
export const LOCAL = 'local'
export const CONTEXT_NAME = /^[a-z0-9][a-z0-9._-]{0,62}$/i
const MAX_BYTES = 1024 * 1024

/** Each user's own, also root's: it holds keys of a person and not of a machine. */
export function contextsPath(env: Io['env']): string {
  const base = env['XDG_CONFIG_HOME']
  const config = base !== undefined && isAbsolute(base) ? base : join(env['HOME'] ?? homedir(), '.config')
  return join(config, 'cove/contexts.yaml')
}

export async function readContexts(env: Io['env']): Promise<Contexts> {
  const path = contextsPath(env)
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
    if (code === 'ENOENT' || code === 'ENOTDIR') return { contexts: {} }
    throw new CoveError('io-error', `${path} cannot be read: ${String(code)}`, { path }, { cause })
  }
  // Loaded only where a file is, for most people have one Cove.
  const { parse } = await import('yaml')
  try {
    if (text.length > MAX_BYTES) throw new TypeError('it is over 1 MiB')
    return readDocument(parse(text))
  } catch (cause) {
    const why = cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : String(cause)
    const fix = 'Correct the file, or remove it and add the contexts again with `cove context add`.'
    throw new CoveError('config-invalid', `${path} cannot be understood: ${why}`, { path }, { fix, cause })
  }
}

/** In one step, readable for the user alone. */
export async function writeContexts(env: Io['env'], { current, contexts }: Contexts): Promise<void> {
  const { stringify } = await import('yaml')
  const path = contextsPath(env)
  const aside = `${path}.${process.pid}`
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    writeFileSync(aside, stringify({ ...(current === undefined ? {} : { current }), contexts }), { mode: 0o600 })
    chmodSync(aside, 0o600)
    renameSync(aside, path)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new CoveError('io-error', `${path} cannot be written: ${why}`, { path }, { cause })
  }
}

/** The context of this name; `context-not-found` names those that are there. */
export function findContext({ contexts }: Contexts, name: string): ServerContext {
  const found = Object.hasOwn(contexts, name) ? contexts[name] : undefined
  if (found !== undefined) return found
  const names = [...Object.keys(contexts), LOCAL].join(', ')
  throw new CoveError(
    'invalid-argument',
    `there is no context ${JSON.stringify(name)}; there is: ${names}`,
    { context: name },
    { fix: `See \`cove context ls\`, or make it with \`cove context add ${name} --url <url> --key-file <file>\`.` },
  )
}

function readDocument(document: unknown): Contexts {
  if (document === null || document === undefined) return { contexts: {} }
  if (!isObject(document)) throw new TypeError('it is no mapping')
  const { current, contexts } = document
  if (current !== undefined && typeof current !== 'string') throw new TypeError('current is no text')
  if (contexts !== undefined && !isObject(contexts)) throw new TypeError('contexts is no mapping')
  const read = Object.entries(contexts ?? {}).map(([name, entry]): [string, ServerContext] => {
    if (!CONTEXT_NAME.test(name)) throw new TypeError(`${JSON.stringify(name)} is no name for a context`)
    return [name, readEntry(name, entry)]
  })
  return { ...(current === undefined ? {} : { current }), contexts: Object.fromEntries(read) }
}

function readEntry(name: string, entry: unknown): ServerContext {
  if (!isObject(entry) || typeof entry['url'] !== 'string') throw new TypeError(`context ${name} has no url`)
  const text = (field: string): string | undefined => {
    const value = entry[field]
    if (value === undefined || typeof value === 'string') return value
    throw new TypeError(`${field} of context ${name} is no text`)
  }
  const [key, keyFile, project] = [text('key'), text('keyFile'), text('project')]
  return {
    url: entry['url'],
    ...(key === undefined ? {} : { key }),
    ...(keyFile === undefined ? {} : { keyFile }),
    ...(project === undefined ? {} : { project }),
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
