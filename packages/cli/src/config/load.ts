import { readFile } from 'node:fs/promises'
import { CoveError } from '@cove/domain'
import { nearest } from '../nearest.ts'
import {
  defaultConfigFile,
  environmentName,
  flagName,
  SETTING_NAMES,
  SETTINGS,
  type Environment,
  type SettingName,
  type Settings,
} from './settings.ts'

export type Source = 'default' | 'file' | 'environment' | 'flag'

export interface Config {
  readonly settings: Settings
  /** Text and origin of every value, for `cove config view`. */
  readonly origins: Readonly<Record<SettingName, Origin>>
  readonly file: string
  readonly fileExists: boolean
}

export interface Origin {
  readonly text: string
  readonly source: Source
  /** Where exactly: a path, a variable, a flag. */
  readonly from: string
}

export type Flags = Partial<Readonly<Record<SettingName, string>>>

interface Inputs {
  readonly env: Environment
  readonly flags: Flags
  /** From `--config`; must exist when given. */
  readonly file?: string | undefined
}

/** Variables that Cove reads and that are no settings of the daemon. */
const OTHER_VARIABLES = new Set([
  'COVE_CONFIG',
  'COVE_URL',
  'COVE_API_KEY',
  'COVE_CONTEXT',
  'COVE_PROJECT',
  // Marks what a supervised process has started.
  'COVE_RECORD',
])
const MAX_FILE_BYTES = 1024 * 1024

/** File, then environment, then flags: the later wins. Every problem is told at once. */
export async function loadConfig({ env, flags, file }: Inputs): Promise<Config> {
  const named = file ?? env['COVE_CONFIG']
  const path = named ?? defaultConfigFile(env)
  const problems: string[] = []
  const fromFile = await readConfigFile(path, named !== undefined, problems)
  for (const name of Object.keys(env)) {
    if (name.startsWith('COVE_') && !OTHER_VARIABLES.has(name) && !VARIABLES.has(name)) {
      problems.push(`${name} is no setting${nearest(name, VARIABLES)}`)
    }
  }
  const origins = Object.fromEntries(
    SETTING_NAMES.map((name) => [name, origin(name, env, flags, fromFile, path)]),
  ) as Record<SettingName, Origin>
  const values: Partial<Record<SettingName, unknown>> = {}
  for (const name of SETTING_NAMES) {
    const { text, from } = origins[name]
    try {
      values[name] = SETTINGS[name].parse(text)
    } catch (error) {
      problems.push(`${from}: ${CoveError.from(error).message}`)
    }
  }
  if (problems.length > 0) {
    throw new CoveError('config-invalid', `the configuration is wrong: ${problems.join('; ')}`, {
      problems: problems.length,
    })
  }
  return { settings: values as Settings, origins, file: path, fileExists: fromFile !== undefined }
}

const VARIABLES: ReadonlySet<string> = new Set(SETTING_NAMES.map(environmentName))

function origin(
  name: SettingName,
  env: Environment,
  flags: Flags,
  file: ReadonlyMap<string, string> | undefined,
  path: string,
): Origin {
  const flag = flags[name]
  if (flag !== undefined) return { text: flag, source: 'flag', from: flagName(name) }
  const variable = env[environmentName(name)]
  if (variable !== undefined) return { text: variable, source: 'environment', from: environmentName(name) }
  const entry = file?.get(name)
  if (entry !== undefined) return { text: entry, source: 'file', from: `${path}: ${name}` }
  const { fallback } = SETTINGS[name]
  return { text: typeof fallback === 'string' ? fallback : fallback(env), source: 'default', from: name }
}

async function readConfigFile(
  path: string,
  mustExist: boolean,
  problems: string[],
): Promise<ReadonlyMap<string, string> | undefined> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'EACCES')
    if (!missing || mustExist) problems.push(`${path}: ${error instanceof Error ? error.message : String(error)}`)
    return undefined
  }
  if (text.length > MAX_FILE_BYTES) {
    problems.push(`${path}: over 1 MiB`)
    return undefined
  }
  // The parser is loaded only where a file is, for most installations have none.
  const { parse } = await import('yaml')
  let document: unknown
  try {
    document = parse(text) ?? {}
  } catch (error) {
    problems.push(`${path}: ${error instanceof Error ? error.message : String(error)}`)
    return undefined
  }
  if (typeof document !== 'object' || document === null || Array.isArray(document)) {
    problems.push(`${path}: not a list of settings`)
    return undefined
  }
  const entries = new Map<string, string>()
  for (const [key, value] of Object.entries(document)) {
    if (!(SETTING_NAMES as readonly string[]).includes(key)) {
      problems.push(`${path}: ${key} is no setting${nearest(key, SETTING_NAMES)}`)
    } else if (Array.isArray(value)) {
      entries.set(key, value.join(','))
    } else if (['string', 'number', 'boolean'].includes(typeof value)) {
      entries.set(key, String(value))
    } else {
      problems.push(`${path}: ${key} is neither text, number nor truth`)
    }
  }
  return entries
}
