import {
  CoveError,
  satisfies,
  type Driver,
  type ErrorCode,
  type Isolation,
  type MachineSpec,
  type Problem,
} from '@cove/domain'
import { strongestFirst, type DriverProofs } from './driver-proofs.ts'

export interface DriverWish {
  readonly isolation?: Isolation | undefined
  /** Names one driver; also the one that holds the disk of an earlier machine. */
  readonly driver?: string | undefined
  readonly spec: MachineSpec
}

/**
 * The driver for one machine. A named one is taken or refused; otherwise the default comes first where it is strong
 * enough, then the strongest proven at native speed, and software emulation only when a minimum was asked for
 * that nothing else reaches. Fails with what was tried and why each was no answer.
 */
export async function chooseDriver(
  drivers: readonly Driver[],
  proofs: DriverProofs,
  wish: DriverWish,
  signal?: AbortSignal,
): Promise<Driver> {
  const tried: string[] = []
  let refusal: CoveError | undefined
  let fix: string | undefined
  const consider = async (driver: Driver): Promise<boolean> => {
    const fingerprint = await proofs.of(driver, signal)
    if (!fingerprint.proven) {
      tried.push(`${driver.name}: ${fingerprint.reason}`)
      fix ??= fingerprint.fix
      return false
    }
    const [problem] = driver.validate(wish.spec)
    if (problem === undefined) return true
    tried.push(`${driver.name}: ${problem.message}`)
    refusal ??= refused(driver, problem)
    return false
  }
  const strong = strongEnough(drivers, wish, tried)
  const preferred = wish.driver === undefined ? await proofs.default(signal) : undefined
  // The default is asked first, so that no other driver's proof is waited for.
  if (preferred !== undefined && strong.includes(preferred) && (await consider(preferred))) return preferred
  const others = strong.filter((driver) => driver !== preferred)
  const ranked = wish.driver === undefined ? await rank(others, proofs, wish, tried, signal) : others
  for (const driver of ranked) if (await consider(driver)) return driver
  if (refusal !== undefined) throw refusal
  throw unavailable(wish, tried, fix)
}

function strongEnough(drivers: readonly Driver[], wish: DriverWish, tried: string[]): readonly Driver[] {
  const named = wish.driver === undefined ? drivers : drivers.filter(({ name }) => name === wish.driver)
  if (named.length === 0 && wish.driver !== undefined) {
    tried.push(`there is no such driver, only ${drivers.map(({ name }) => name).join(', ') || 'none'}`)
  }
  return named.filter((driver) => {
    const enough = wish.isolation === undefined || satisfies(driver.isolation, wish.isolation)
    if (!enough) tried.push(`${driver.name}: its isolation is only ${driver.isolation}`)
    return enough
  })
}

/** Native speed before emulation, then the strongest first. */
async function rank(
  drivers: readonly Driver[],
  proofs: DriverProofs,
  wish: DriverWish,
  tried: string[],
  signal: AbortSignal | undefined,
): Promise<readonly Driver[]> {
  const native: Driver[] = []
  const emulating: Driver[] = []
  for (const driver of strongestFirst(drivers)) {
    const fingerprint = await proofs.of(driver, signal)
    if (!fingerprint.proven || fingerprint.native) native.push(driver)
    else if (wish.isolation !== undefined) emulating.push(driver)
    else tried.push(`${driver.name}: runs only under software emulation, which has to be asked for`)
  }
  return [...native, ...emulating]
}

function refused(driver: Driver, problem: Problem): CoveError {
  const context = { driver: driver.name, field: problem.field }
  return new CoveError(problemCode(problem), `${driver.name}: ${problem.message}`, context, { fix: problem.fix })
}

function problemCode(problem: Problem): ErrorCode {
  if (problem.field.startsWith('limits')) return 'limit-not-enforceable'
  if (problem.field.startsWith('network')) return 'network-unavailable'
  return problem.field.startsWith('from') ? 'template-not-found' : 'invalid-argument'
}

function unavailable(wish: DriverWish, tried: readonly string[], fix: string | undefined): CoveError {
  const asked = wish.driver ?? wish.isolation ?? 'any isolation at native speed'
  const reasons = tried.length === 0 ? 'this node has no drivers' : tried.join('; ')
  return new CoveError(
    'isolation-unavailable',
    `nothing here gives ${asked}: ${reasons}`,
    { asked, tried: reasons },
    fix === undefined ? {} : { fix },
  )
}
