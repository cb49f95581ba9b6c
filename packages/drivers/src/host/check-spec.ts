import { availableParallelism, totalmem } from 'node:os'
import {
  CoveError,
  LIMIT_NAMES,
  parseAllow,
  type ErrorCode,
  type LimitName,
  type Limits,
  type MachineSpec,
  type Problem,
  type VolumeMount,
} from '@cove/domain'

const HOSTNAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i
const MIN_MEMORY_BYTES = 4 * 1024 * 1024
const MIN_DISK_BYTES = 16 * 1024 * 1024

/** What this host has to give. */
export interface HostSize {
  readonly memoryBytes: number
  readonly cpus: number
}

export const hostSize = (): HostSize => ({ memoryBytes: totalmem(), cpus: availableParallelism() })

/** Whether a driver has the network `internet`, and why not. */
export type InternetSupport =
  | { readonly available: true }
  | { readonly available: false; readonly reason: string; readonly fix: string }

const NO_INTERNET = { available: false, reason: 'this driver does not have it', fix: 'Use network `none`.' } as const

/** What every driver that runs on this host's kernel refuses. `missing`: why a limit cannot be enforced here. */
export function checkSpec(
  spec: MachineSpec,
  host: HostSize,
  missing: Partial<Readonly<Record<LimitName, string>>>,
  internet: InternetSupport = NO_INTERNET,
  startsFromSnapshots = false,
): readonly Problem[] {
  const problems: Problem[] = []
  const problem = (field: string, message: string, fix: string) => problems.push({ field, message, fix })
  if (!HOSTNAME.test(spec.hostname)) {
    problem('hostname', 'the hostname is not a DNS label', 'Use 1 to 63 letters, digits and dashes.')
  }
  if (spec.network.kind === 'internet') {
    if (!internet.available) problem('network', `no network internet: ${internet.reason}`, internet.fix)
    else problems.push(...allowProblems(spec.network.allow))
  }
  if (spec.from.kind === 'snapshot' && !startsFromSnapshots) {
    problem('from', 'this driver cannot start from a snapshot', 'Start from a template.')
  }
  if (spec.from.kind === 'layers') {
    const bad =
      spec.from.lower.length === 0 || spec.from.lower.some((path) => !path.startsWith('/') || path.includes('\0'))
    if (bad) problem('from', 'the layers are not a list of absolute paths', 'Name one folder or more.')
  }
  problems.push(...volumeProblems(spec.volumes ?? []), ...limitProblems(spec.limits, host, missing))
  return problems
}

/** What is wrong with limits, also with those that a machine is to get later. */
export function limitProblems(
  limits: Limits,
  host: HostSize,
  missing: Partial<Readonly<Record<LimitName, string>>>,
): readonly Problem[] {
  const problems: Problem[] = []
  const problem = (field: string, message: string, fix: string) => problems.push({ field, message, fix })
  for (const name of LIMIT_NAMES) {
    const limit = limits[name]
    if (limit === undefined) continue
    const field = `limits.${name}`
    const wrong = wrongValue(name, limit.value)
    if (wrong !== undefined) {
      problem(field, wrong, 'Correct the value.')
      continue
    }
    if (!limit.required) continue
    const reason = missing[name]
    if (reason !== undefined) {
      problem(
        field,
        `${name} cannot be enforced: ${reason}`,
        'Leave the limit out, or choose a driver that enforces it.',
      )
    } else if ((name === 'memoryBytes' || name === 'cpus') && limit.value > host[name]) {
      problem(field, `${name} of ${limit.value} is more than this host has (${host[name]})`, 'Ask for less.')
    }
  }
  return problems
}

const MAX_VOLUMES = 64
const MAX_PATH = 1024
/** Where a machine has things of its own that nothing may lie over. */
const RESERVED = ['/proc', '/sys', '/dev', '/run']

/** What is wrong with where volumes are to be shown. */
export function volumeProblems(volumes: readonly VolumeMount[]): readonly Problem[] {
  const problems: Problem[] = []
  const problem = (message: string, fix: string) => problems.push({ field: 'volumes', message, fix })
  if (volumes.length > MAX_VOLUMES) problem(`more than ${MAX_VOLUMES} volumes`, 'Use fewer.')
  const targets = new Set<string>()
  for (const { source, target } of volumes) {
    if (!isPlain(source)) problem(`the volume's folder ${source} is not an absolute path`, 'Name a folder of the host.')
    if (!isPlain(target)) {
      problem(`${target} is not an absolute path without . and ..`, 'Mount the volume at a path such as /data.')
    } else if (RESERVED.some((path) => target === path || target.startsWith(`${path}/`))) {
      problem(`no volume can be mounted at ${target}`, `Choose a path outside of ${RESERVED.join(', ')}.`)
    }
    if (targets.has(target)) problem(`two volumes are to be mounted at ${target}`, 'Give each a path of its own.')
    targets.add(target)
  }
  return problems
}

function isPlain(path: string): boolean {
  const parts = path.slice(1).split('/')
  return (
    path.startsWith('/') &&
    path.length <= MAX_PATH &&
    !path.includes('\0') &&
    parts.every((part) => part !== '' && part !== '.' && part !== '..' && Buffer.byteLength(part) <= 255)
  )
}

function allowProblems(allow: readonly string[]): readonly Problem[] {
  try {
    parseAllow(allow)
    return []
  } catch (error) {
    const { message, fix } = CoveError.from(error)
    return [{ field: 'network.allow', message, fix }]
  }
}

function wrongValue(name: LimitName, value: number): string | undefined {
  if (!Number.isFinite(value) || value <= 0) return `${name} is not a positive number`
  if (name !== 'cpus' && !Number.isSafeInteger(value)) return `${name} is not a whole number`
  if (name === 'memoryBytes' && value < MIN_MEMORY_BYTES) return `${name} is less than ${MIN_MEMORY_BYTES}`
  if (name === 'diskBytes' && value < MIN_DISK_BYTES) return `${name} is less than ${MIN_DISK_BYTES}`
  if (name === 'cpus' && value < 0.01) return `${name} is less than 0.01`
  return undefined
}

/** Throws for the first problem, with the others told in its context. */
export function refuseProblems(problems: readonly Problem[]): void {
  const [first, ...others] = problems
  if (first === undefined) return
  throw new CoveError(
    codeOf(first),
    first.message,
    { field: first.field, ...(others.length === 0 ? {} : { others: others.map(({ message }) => message).join('; ') }) },
    { fix: first.fix },
  )
}

function codeOf({ field, message }: Problem): ErrorCode {
  if (field === 'network') return 'network-unavailable'
  if (field.startsWith('limits.'))
    return message.includes(' is not ') || message.includes(' is less ') ? 'invalid-argument' : 'limit-not-enforceable'
  if (field === 'from' && message.includes('snapshot')) return 'unsupported'
  return 'invalid-argument'
}
