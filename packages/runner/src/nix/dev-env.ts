import { CoveError } from '@cove/domain'

/**
 * What the builder's own run leaves behind and what would point a process at places that are gone: its scratch folders,
 * its outputs, its working directory.
 */
const OF_THE_BUILD: ReadonlySet<string> = new Set([
  'NIX_BUILD_CORES',
  'NIX_BUILD_TOP',
  'NIX_LOG_FD',
  'NIX_STATE_DIR',
  'NIX_STORE_DIR',
  'OLDPWD',
  'PWD',
  'TEMP',
  'TEMPDIR',
  'TMP',
  'TMPDIR',
  'name',
  'out',
  'outputs',
  'src',
])
/** What Nix gives a build in place of a home and of a search path, where the flake names none. */
const NOWHERE: Readonly<Record<string, string>> = { HOME: '/homeless-shelter', PATH: '/path-not-set' }
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/

/** Reads what `nix print-dev-env --json` prints: the exported variables, without those of the build itself. */
export function parseDevEnv(text: string): Readonly<Record<string, string>> {
  let document: unknown
  try {
    document = JSON.parse(text)
  } catch (cause) {
    throw new CoveError('driver-failed', 'nix did not print JSON', {}, { cause })
  }
  const variables = isObject(document) ? document['variables'] : undefined
  if (!isObject(variables)) throw new CoveError('driver-failed', 'nix printed no variables')
  const env: Record<string, string> = {}
  for (const [name, variable] of Object.entries(variables)) {
    if (!isObject(variable) || variable['type'] !== 'exported' || typeof variable['value'] !== 'string') continue
    const { value } = variable
    if (!VARIABLE.test(name) || value.includes('\0') || OF_THE_BUILD.has(name) || NOWHERE[name] === value) continue
    env[name] = value
  }
  return env
}

/**
 * The environment of a process in the shell: what the shell says, over a few things that every program needs and that
 * are the host's. Nothing else of the host is let in, so that what works here works elsewhere.
 */
export function shellEnvironment(
  shell: Readonly<Record<string, string>>,
  host: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string>> {
  const env: Record<string, string> = {}
  for (const name of ['HOME', 'LANG', 'LOGNAME', 'PATH', 'TERM', 'TMPDIR', 'TZ', 'USER', 'XDG_RUNTIME_DIR']) {
    const value = host[name]
    if (value !== undefined) env[name] = value
  }
  const cache = host['XDG_CACHE_HOME'] ?? (env['HOME'] === undefined ? undefined : `${env['HOME']}/.cache`)
  // Go would put its caches below a home that the shell may have moved, and lose them with every new shell.
  if (cache !== undefined) Object.assign(env, { GOCACHE: `${cache}/cove/go-build`, GOMODCACHE: `${cache}/cove/go-mod` })
  return { ...env, ...shell }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
