import { homedir } from 'node:os'
import { isAbsolute } from 'node:path'
import { CoveError, parseBytes, parseDuration, type Timeout } from '@cove/domain'

/** One setting: how its text is read, and what it means. A value that cannot be read is an error, never a default. */
interface Setting<Value> {
  /** The value where nobody says otherwise, as text. */
  readonly fallback: string | ((env: Environment) => string)
  readonly parse: (text: string) => Value
  readonly about: string
}

export type Environment = Readonly<Record<string, string | undefined>>

const setting = <Value>(
  fallback: Setting<Value>['fallback'],
  parse: (text: string) => Value,
  about: string,
): Setting<Value> => ({ fallback, parse, about })

/** Drivers that isolate, by their names. */
const DRIVERS = ['firecracker', 'qemu', 'gvisor', 'crun', 'runc', 'containerd', 'docker', 'bubblewrap'] as const

/** Every setting of the daemon, by its name in the configuration file; `COVE_*` and `--*` are derived from it. */
export const SETTINGS = {
  listen: setting('127.0.0.1:8080', parseAddress, 'address and port of the API'),
  dataDir: setting(defaultDataDir, parsePath, 'where state is kept'),
  logLevel: setting('info', oneOf('debug', 'info', 'warn', 'error'), 'least severe lines that are logged'),
  logFile: setting('', parseOptionalPath, 'log to this file too (0600, at most 64 MiB and as much before it)'),
  driver: setting('auto', oneOf('auto', ...DRIVERS, 'native'), 'driver that is taken when a request names none'),
  drivers: setting('', parseDrivers, 'drivers that are offered; empty: all that can be proven here'),
  containerdAddress: setting('/run/containerd/containerd.sock', parsePath, "containerd's socket"),
  kernelDir: setting(
    defaultKernelDir,
    parsePath,
    'where kernels of virtual machines are kept, for all data directories',
  ),
  imageBudget: setting('32GiB', parseSize, 'disk for images above which those go that nobody uses'),
  registries: setting('', parseList, 'the only registries, host[:port], that images are pulled from; empty: any'),
  registryMirrors: setting('', parseMirrors, 'asked before a registry: docker.io=mirror.example.com, more with commas'),
  insecureRegistries: setting('', parseList, 'registries, host:port, that are spoken to without TLS'),
  registryConfig: setting(defaultRegistryConfig, parseOptionalPath, "logins for registries, a file like Docker's"),
  allowNative: setting('false', parseTruth, 'offer the native driver, which is no wall'),
  idleTimeout: setting('30m', parseTimeout, 'from the last activity to the end of a sandbox'),
  lifetime: setting('never', parseTimeout, 'from creation to the end of a sandbox'),
  maxSandboxes: setting('100', parseCount(1, 100_000), 'live sandboxes per project'),
  rateLimit: setting(
    '2000',
    parseCount(0, 1_000_000),
    'calls per second of one key, and of one address without a key; 0: any',
  ),
  rateBurst: setting('4000', parseCount(1, 1_000_000), 'calls of these at once, after a rest'),
  defaultMemory: setting('2GiB', parseSize, 'memory of a sandbox that names no limit'),
  defaultProcesses: setting('1024', parseCount(8, 1_000_000), 'processes of a sandbox that names no limit'),
  uidBase: setting('268435456', parseCount(100_000, 4_000_000_000), 'first host uid for sandboxes; 65,536 each'),
  allowedHosts: setting('', parseList, 'names besides loopback ones that clients may use in Host and Origin'),
  previewDomain: setting('localhost', parseDomain, 'every port of a sandbox is <port>-<id>.<this>'),
  publicUrl: setting('', parsePublicUrl, 'where browsers reach the server when something stands in front of it'),
  shutdownGrace: setting('25s', (text) => parseDuration(text, 'shutdownGrace'), 'time for running calls at the end'),
  durability: setting('process', oneOf('process', 'power'), 'what acknowledged writes survive'),
  mcpMaxEnvironments: setting('10', parseCount(1, 100_000), 'live environments per project that agents make by MCP'),
  mcpIdleTimeout: setting('30m', parseTimeout, 'from the last activity to the end of an environment'),
  mcpMaxIdleTimeout: setting('60m', parseTimeout, 'the longest that an agent may ask for'),
  mcpExecTimeout: setting('30s', parseTime, 'for code of an agent that names no timeout'),
  mcpMaxExecTimeout: setting('5m', parseTime, 'the longest for code of an agent'),
  mcpInstallTimeout: setting('5m', parseTime, 'for one installation of packages by an agent'),
  mcpBootTimeout: setting('2m', parseTime, 'until an environment of an agent has to run'),
  mcpMaxOutput: setting('32KiB', parseOutput, 'kept of each stream of output that an agent reads, head and tail'),
  mcpNetwork: setting('none', oneOf('none', 'internet'), 'what an environment reaches when the agent says nothing'),
  runtimePython: setting('', (text) => text, 'path of the python that runs code, in place of what is found'),
  runtimeNode: setting('', (text) => text, 'path of the node that runs code, in place of what is found'),
  runtimeShell: setting('', (text) => text, 'path of the shell that runs code, in place of what is found'),
  installPython: setting('', (text) => text, 'command that installs python packages, in place of what is found'),
  installNode: setting('', (text) => text, 'command that installs node packages, in place of what is found'),
  installShell: setting('', (text) => text, "command that installs the system's packages, in place of what is found"),
} as const satisfies Record<string, Setting<unknown>>

export type SettingName = keyof typeof SETTINGS
export const SETTING_NAMES = Object.keys(SETTINGS) as readonly SettingName[]
export type Settings = { readonly [Name in SettingName]: ReturnType<(typeof SETTINGS)[Name]['parse']> }

export interface Address {
  readonly host: string
  readonly port: number
}

/** `idleTimeout` is `COVE_IDLE_TIMEOUT`. */
export const environmentName = (name: SettingName): string =>
  `COVE_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`

/** `idleTimeout` is `--idle-timeout`. */
export const flagName = (name: SettingName): string =>
  `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`

export function defaultDataDir(env: Environment): string {
  if (process.getuid?.() === 0) return '/var/lib/cove'
  const base = env['XDG_DATA_HOME']
  return base !== undefined && isAbsolute(base) ? `${base}/cove` : `${env['HOME'] ?? '/tmp'}/.local/share/cove`
}

export function defaultConfigFile(env: Environment): string {
  if (process.getuid?.() === 0) return '/etc/cove/config.yaml'
  const base = env['XDG_CONFIG_HOME']
  return base !== undefined && isAbsolute(base)
    ? `${base}/cove/config.yaml`
    : `${env['HOME'] ?? '/tmp'}/.config/cove/config.yaml`
}

/** Not below the data directory: kernels are large, take minutes to build and are the same for all of them. */
function defaultKernelDir(env: Environment): string {
  const base = env['XDG_CACHE_HOME']
  return base !== undefined && isAbsolute(base)
    ? `${base}/cove/kernels`
    : `${env['HOME'] ?? homedir()}/.cache/cove/kernels`
}

function defaultRegistryConfig(env: Environment): string {
  const folder = env['DOCKER_CONFIG'] ?? (env['HOME'] === undefined ? undefined : `${env['HOME']}/.docker`)
  return folder === undefined || !isAbsolute(folder) ? '' : `${folder}/config.json`
}

function parseDrivers(text: string): readonly string[] {
  const names = parseList(text)
  const unknown = names.find((name) => !(DRIVERS as readonly string[]).includes(name))
  if (unknown !== undefined) throw refuse(unknown, `one of ${DRIVERS.join(', ')}`)
  return names
}

/** `docker.io=a.example.com,docker.io=b.example.com`: asked in this order. */
function parseMirrors(text: string): Readonly<Record<string, readonly string[]>> {
  const mirrors = new Map<string, string[]>()
  for (const entry of parseList(text)) {
    const at = entry.indexOf('=')
    if (at <= 0 || at === entry.length - 1)
      throw refuse(entry, 'a registry and its mirror, such as docker.io=host:port')
    const registry = entry.slice(0, at)
    mirrors.set(registry, [...(mirrors.get(registry) ?? []), entry.slice(at + 1)])
  }
  return Object.fromEntries(mirrors)
}

function refuse(text: string, want: string): CoveError {
  return new CoveError('invalid-argument', `${JSON.stringify(text.slice(0, 80))} is not ${want}`)
}

function parseAddress(text: string): Address {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text)
  const port = Number(match?.[3])
  const host = match?.[1] ?? match?.[2]
  if (host === undefined || !(port <= 65_535))
    throw refuse(text, 'an address and port such as 127.0.0.1:8080 or [::1]:8080')
  return { host, port }
}

function parsePath(text: string): string {
  if (!isAbsolute(text) || text.includes('\0')) throw refuse(text, 'an absolute path')
  return text.length > 1 ? text.replace(/\/+$/, '') : text
}

function parseOptionalPath(text: string): string | undefined {
  return text === '' ? undefined : parsePath(text)
}

function parseTruth(text: string): boolean {
  if (text === 'true') return true
  if (text === 'false') return false
  throw refuse(text, 'true or false')
}

function parseTimeout(text: string): Timeout {
  if (text === 'never') return 'never'
  const ms = parseDuration(text)
  if (ms < 1000) throw refuse(text, 'at least 1s, or never')
  return ms
}

/** Of something that always ends; within what timers take. */
function parseTime(text: string): number {
  const ms = parseDuration(text)
  if (ms < 1000 || ms > 24 * 86_400_000) throw refuse(text, 'a time from 1s to 24d')
  return ms
}

function parseOutput(text: string): number {
  const bytes = parseBytes(text)
  if (bytes < 1024 || bytes > 1024 * 1024) throw refuse(text, 'a size from 1KiB to 1MiB')
  return bytes
}

function parseSize(text: string): number {
  const bytes = parseBytes(text)
  if (bytes < 4 * 1024 * 1024) throw refuse(text, 'at least 4MiB')
  return bytes
}

function parseCount(least: number, most: number): (text: string) => number {
  return (text) => {
    const count = Number(text)
    if (!/^\d+$/.test(text) || count < least || count > most)
      throw refuse(text, `a whole number from ${least} to ${most}`)
    return count
  }
}

function parseDomain(text: string): string {
  const label = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?'
  if (!new RegExp(`^${label}(?:\\.${label})*$`).test(text) || text.length > 220) {
    throw refuse(text, 'a domain such as localhost or preview.example.com')
  }
  return text
}

function parsePublicUrl(text: string): string | undefined {
  if (text === '') return undefined
  const want = 'an address such as https://cove.example.com, without a path'
  if (!URL.canParse(text)) throw refuse(text, want)
  const url = new URL(text)
  if (!/^https?:$/.test(url.protocol) || url.href !== `${url.origin}/`) throw refuse(text, want)
  return url.origin
}

function parseList(text: string): readonly string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
}

function oneOf<const Choice extends string>(...choices: readonly Choice[]): (text: string) => Choice {
  return (text) => {
    const found = choices.find((choice) => choice === text)
    if (found === undefined) throw refuse(text, `one of ${choices.join(', ')}`)
    return found
  }
}
