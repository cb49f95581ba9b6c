import {
  CoveError,
  parseAllow,
  parseSandboxId,
  type Isolation,
  type LimitName,
  type Limits,
  type Network,
  type Timeout,
} from '@cove/domain'

/** What a client asks for, in the words of the domain; absent means the server's default. */
export interface CreateRequest {
  readonly template?: string
  readonly name?: string
  readonly isolation?: Isolation
  readonly driver?: string
  readonly limits: Limits
  readonly network: Network
  readonly env: Readonly<Record<string, string>>
  readonly labels: Readonly<Record<string, string>>
  readonly idleTimeout?: Timeout
  readonly lifetime?: Timeout
  /** Default `delete`. */
  readonly onIdle?: 'delete' | 'pause'
  /** Default: when it is paused by being idle. */
  readonly autoResume?: boolean
  readonly idempotencyKey?: string
  /** Id or name of a snapshot to go on from, in place of a template. */
  readonly snapshot?: string
  /** Names or ids of volumes, and where they are to be seen. */
  readonly volumes?: readonly { readonly volume: string; readonly path: string; readonly readOnly: boolean }[]
}

const NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
const LABEL_KEY = /^[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,126}[A-Za-z0-9])?$/
const DRIVER = /^[a-z0-9][a-z0-9-]{0,62}$/
const IDEMPOTENCY_KEY = /^[\x21-\x7e]{1,64}$/
/** Eight years: far beyond every use, and safe in every arithmetic on milliseconds. */
const LONGEST_TIMEOUT_MS = 8 * 365 * 24 * 3_600_000
const ENV_BYTES = 128 * 1024
const LABELS = 64
const LABEL_BYTES = 256

/** Checks everything that needs no look at what exists; every message names its field. */
export function checkCreate(request: CreateRequest): void {
  const { name, driver, idempotencyKey } = request
  if (name !== undefined) checkName(name)
  if (driver !== undefined && !DRIVER.test(driver)) throw bad('driver', 'must be the name of a driver')
  if (idempotencyKey !== undefined && !IDEMPOTENCY_KEY.test(idempotencyKey)) {
    throw bad('idempotencyKey', 'must be 1 to 64 printable ASCII characters without spaces')
  }
  checkEnv(request.env, 'env')
  checkLabels(request.labels)
  checkLimits(request.limits)
  if (request.network.kind === 'internet') parseAllow(request.network.allow)
  if (request.idleTimeout !== undefined) checkTimeout(request.idleTimeout, 'idleTimeout')
  if (request.lifetime !== undefined) checkTimeout(request.lifetime, 'lifetime')
}

export function checkTimeout(timeout: Timeout, field: string): void {
  if (timeout === 'never') return
  if (!Number.isFinite(timeout) || timeout < 1) throw bad(field, 'must be at least 1 ms, or never')
  if (timeout > LONGEST_TIMEOUT_MS) throw bad(field, 'must be at most 8 years, or never')
}

/** Environment variables: names without `=` and NUL, values without NUL, 128 KiB together. */
export function checkEnv(env: Readonly<Record<string, string>>, field: string): void {
  let bytes = 0
  for (const [name, value] of Object.entries(env)) {
    if (name === '') throw bad(field, 'has a variable without a name')
    if (name.includes('=') || name.includes('\0')) {
      throw bad(field, `has the variable name ${quote(name)}, which must not contain "=" or NUL`)
    }
    if (value.includes('\0')) throw bad(field, `has a NUL in the value of ${quote(name)}`)
    bytes += Buffer.byteLength(name) + Buffer.byteLength(value) + 2
  }
  if (bytes > ENV_BYTES) throw bad(field, `is larger than ${ENV_BYTES} bytes`)
}

function checkName(name: string): void {
  if (!NAME.test(name)) {
    throw bad('name', 'must be 1 to 63 of a-z, 0-9 and dash, with a letter or digit at both ends')
  }
  if (isSandboxId(name)) throw bad('name', 'looks like a sandbox id; add a dash or another character')
}

export function isSandboxId(text: string): boolean {
  try {
    parseSandboxId(text)
    return true
  } catch {
    return false
  }
}

export function checkLabels(labels: Readonly<Record<string, string>>): void {
  const entries = Object.entries(labels)
  if (entries.length > LABELS) throw bad('labels', `has more than ${LABELS} entries`)
  for (const [key, value] of entries) {
    if (!LABEL_KEY.test(key)) {
      throw bad('labels', `has the key ${quote(key)}, which must be 1 to 128 letters, digits, ".", "_", "/" and "-"`)
    }
    if (Buffer.byteLength(value) > LABEL_BYTES)
      throw bad('labels', `has a value over ${LABEL_BYTES} bytes: ${quote(key)}`)
  }
}

const SMALLEST: Readonly<Record<LimitName, number>> = {
  memoryBytes: 4 * 1024 * 1024,
  cpus: 0.01,
  processes: 4,
  diskBytes: 1024 * 1024,
}

export function checkLimits(limits: Limits): void {
  for (const [name, smallest] of Object.entries(SMALLEST) as [LimitName, number][]) {
    const limit = limits[name]
    if (limit === undefined) continue
    if (!Number.isFinite(limit.value) || limit.value < smallest) {
      throw bad(`limits.${name}`, `must be at least ${smallest}`)
    }
    if (limit.value > Number.MAX_SAFE_INTEGER) throw bad(`limits.${name}`, 'is too large')
  }
}

export function bad(field: string, problem: string): CoveError {
  return new CoveError('invalid-argument', `${field} ${problem}`, { field })
}

function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text)
}
