import { readFileSync } from 'node:fs'
import { CoveError } from '@cove/domain'
import type { Io } from '../io.ts'
import type { Where } from '../options/global-options.ts'
import { findContext, LOCAL, readContexts, type ServerContext } from './contexts-file.ts'

/** Which Cove a command talks to. What is absent is left to the SDK, which finds the local daemon. */
export interface Target {
  readonly url?: string
  readonly apiKey?: string
  readonly project?: string
  /** The context that all this is from. */
  readonly context?: string
  /** What named the address, where it was no context. */
  readonly from?: string
}

/**
 * `--url`, else `--context`, else `COVE_URL`, else `COVE_CONTEXT`, else the data directory that `COVE_DATA_DIR` names,
 * else the current context, else the local daemon. The project: `--project`, `COVE_PROJECT`, that of the context.
 */
export async function findTarget(where: Where, env: Io['env']): Promise<Target> {
  const target = await findServer(where, env)
  const project = where.project ?? set(env['COVE_PROJECT']) ?? target.project
  return { ...target, ...(project === undefined ? {} : { project }) }
}

async function findServer(where: Where, env: Io['env']): Promise<Target> {
  if (where.url !== undefined) return { url: where.url, from: '--url' }
  if (where.context !== undefined) return readTarget(where.context, env)
  if (set(env['COVE_URL']) !== undefined) return { from: 'COVE_URL' }
  const named = set(env['COVE_CONTEXT'])
  if (named !== undefined) return readTarget(named, env)
  if (set(env['COVE_DATA_DIR']) !== undefined) return {}
  const { current } = await readContexts(env)
  return current === undefined ? {} : readTarget(current, env)
}

async function readTarget(name: string, env: Io['env']): Promise<Target> {
  if (name === LOCAL) return {}
  const found = findContext(await readContexts(env), name)
  const { url, project } = found
  const apiKey = readKey(name, found)
  return {
    url,
    context: name,
    ...(apiKey === undefined ? {} : { apiKey }),
    ...(project === undefined ? {} : { project }),
  }
}

/** Read when it is used, so that a key which is replaced in its file is the one that counts. */
function readKey(name: string, { key, keyFile }: ServerContext): string | undefined {
  if (keyFile === undefined) return key
  try {
    return readFileSync(keyFile, 'utf8').trim()
  } catch (cause) {
    const why = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause)
    throw new CoveError(
      'config-invalid',
      `the key of context ${name} cannot be read from ${keyFile}: ${why}`,
      { path: keyFile },
      { fix: `Put the key there, or name another file: cove context add ${name} --force --key-file <file>.`, cause },
    )
  }
}

const set = (value: string | undefined): string | undefined => (value === '' ? undefined : value)
