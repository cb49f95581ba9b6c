import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { homedir } from 'node:os'
import { dirname, isAbsolute, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
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
/** A change takes a few milliseconds: what is older was left by a command that has died. */
const LEFT_MS = 5_000
const LOOK_EVERY_MS = 20

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

/** Changes the file in one step, readable for the user alone; of several commands each waits for the one before it. */
export async function changeContexts(env: Io['env'], change: (contexts: Contexts) => Contexts): Promise<void> {
  const { stringify } = await import('yaml')
  const path = whole(contextsPath(env))
  const aside = `${path}.new`
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    closeSync(await openAlone(aside))
  } catch (cause) {
    throw unwritable(path, cause)
  }
  try {
    const { current, contexts } = change(await readContexts(env))
    try {
      writeFileSync(aside, stringify({ ...(current === undefined ? {} : { current }), contexts }))
      renameSync(aside, path)
    } catch (cause) {
      throw unwritable(path, cause)
    }
  } catch (error) {
    rmSync(aside, { force: true })
    throw error
  }
}

/** Where it leads to when it is a link, as those who keep their configuration elsewhere have it. */
function whole(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}

/** Makes a file that is not there; waits while another command has it, but not for one that has died. */
async function openAlone(path: string): Promise<number> {
  for (;;) {
    try {
      return openSync(path, 'wx', 0o600)
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
    }
    const since = statSync(path, { throwIfNoEntry: false })?.mtimeMs
    if (since !== undefined && Math.abs(Date.now() - since) > LEFT_MS) rmSync(path, { force: true })
    await sleep(LOOK_EVERY_MS)
  }
}

function unwritable(path: string, cause: unknown): CoveError {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new CoveError('io-error', `${path} cannot be written: ${why}`, { path }, { cause })
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
