import {
  CoveError,
  keepsSnapshots,
  satisfies,
  type Clock,
  type Driver,
  type DriverReport,
  type Fingerprint,
  type Log,
} from '@cove/domain'
import { abortable, withDeadline } from './wait.ts'

const PROOF_TIMEOUT_MS = 60_000
/** A proven driver is tried again after this, an unproven one sooner: its tool may have been installed. */
const RENEW_MS = 10 * 60_000
const RETRY_MS = 60_000
/** Until a driver that may not prove itself yet is asked again; that costs nothing. */
const ASK_AGAIN_MS = 1_000

interface Proof {
  readonly first: Promise<Fingerprint>
  readonly resolve: (fingerprint: Fingerprint) => void
  current?: Fingerprint
  /** The driver was not allowed to prove itself. */
  refused?: boolean
}

/** Among equals the order that was given. */
export function strongestFirst(drivers: readonly Driver[]): readonly Driver[] {
  return drivers.toSorted((a, b) => {
    if (a.isolation === b.isolation) return 0
    return satisfies(a.isolation, b.isolation) ? -1 : 1
  })
}

/** What every driver has proven on this host, renewed in the background. */
export class DriverProofs {
  readonly #drivers: readonly Driver[]
  readonly #proofs = new Map<string, Proof>()
  readonly #running = new Map<string, Promise<Fingerprint>>()
  readonly #clock: Clock
  readonly #log: Log
  readonly #signal: AbortSignal
  readonly #defaultName: string | undefined
  readonly #allowed: (driver: Driver) => Promise<void>

  constructor(options: {
    readonly drivers: readonly Driver[]
    readonly clock: Clock
    readonly log: Log
    readonly signal: AbortSignal
    readonly defaultDriver?: string | undefined
    /** Resolves when the driver may run a machine to prove itself; when it rejects, that is the verdict. */
    readonly allowed?: (driver: Driver) => Promise<void>
  }) {
    this.#drivers = options.drivers
    this.#clock = options.clock
    this.#log = options.log
    this.#signal = options.signal
    this.#defaultName = options.defaultDriver
    this.#allowed = options.allowed ?? (async () => {})
    if (options.defaultDriver !== undefined && !this.#drivers.some(({ name }) => name === options.defaultDriver)) {
      throw new CoveError('config-invalid', `the default driver ${options.defaultDriver} is not one of the drivers`, {
        driver: options.defaultDriver,
        drivers: this.#drivers.map(({ name }) => name).join(', '),
      })
    }
    for (const driver of this.#drivers) {
      const first = Promise.withResolvers<Fingerprint>()
      this.#proofs.set(driver.name, { first: first.promise, resolve: first.resolve })
    }
  }

  /** Begins; until the node closes every proof is renewed in its time. */
  async keepFresh(): Promise<void> {
    await Promise.all(this.#drivers.map((driver) => this.#keepFresh(driver)))
  }

  /** The newest verdict, waiting only for the first one. */
  async of(driver: Driver, signal?: AbortSignal): Promise<Fingerprint> {
    const proof = this.#proofs.get(driver.name)
    if (proof === undefined) throw new CoveError('internal', `no driver is named ${driver.name}`)
    return proof.current ?? (await abortable(proof.first, signal))
  }

  /**
   * The driver for requests that name nothing: the configured one, else the strongest that is proven at native
   * speed. Waits for no weaker driver than that. Undefined when there is none.
   */
  async default(signal?: AbortSignal): Promise<Driver | undefined> {
    for (const driver of strongestFirst(this.#drivers)) {
      if (this.#defaultName !== undefined && driver.name !== this.#defaultName) continue
      if (this.#defaultName === undefined && (await driver.emulates?.()) === true) continue
      const fingerprint = await this.of(driver, signal)
      if (fingerprint.proven && (fingerprint.native || this.#defaultName !== undefined)) return driver
    }
    return undefined
  }

  async reports(signal?: AbortSignal): Promise<readonly DriverReport[]> {
    const chosen = await this.default(signal)
    return await Promise.all(
      this.#drivers.map(async (driver) => ({
        name: driver.name,
        isolation: driver.isolation,
        fingerprint: structuredClone(await this.of(driver, signal)),
        savesMemory: keepsSnapshots(driver),
        chosen: driver === chosen,
      })),
    )
  }

  /** Of those that have a verdict, once there is a default. */
  async known(): Promise<readonly DriverReport[]> {
    const chosen = await this.default()
    return this.#drivers.flatMap((driver) => {
      const fingerprint = this.#proofs.get(driver.name)?.current
      if (fingerprint === undefined) return []
      const { name, isolation } = driver
      return [
        {
          name,
          isolation,
          fingerprint: structuredClone(fingerprint),
          savesMemory: keepsSnapshots(driver),
          chosen: driver === chosen,
        },
      ]
    })
  }

  /** Proves all of them anew. When the signal aborts, only the waiting ends: others may wait for the same proof. */
  async renew(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#drivers.map((driver) => abortable(this.#prove(driver), signal)))
  }

  async #keepFresh(driver: Driver): Promise<void> {
    while (!this.#signal.aborted) {
      const { proven } = await this.#prove(driver)
      const refused = this.#proofs.get(driver.name)?.refused === true
      try {
        await this.#clock.sleep(refused ? ASK_AGAIN_MS : proven ? RENEW_MS : RETRY_MS, this.#signal)
      } catch {
        return
      }
    }
  }

  /** One at a time of each driver, for they share its folders: whoever asks meanwhile is told what that one finds. */
  #prove(driver: Driver): Promise<Fingerprint> {
    const known = this.#running.get(driver.name)
    if (known !== undefined) return known
    const running = this.#proveNow(driver).finally(() => this.#running.delete(driver.name))
    this.#running.set(driver.name, running)
    return running
  }

  /** Total: a proof that fails in whatever way is a verdict too. */
  async #proveNow(driver: Driver): Promise<Fingerprint> {
    let fingerprint: Fingerprint
    try {
      fingerprint = await withDeadline(
        this.#clock,
        PROOF_TIMEOUT_MS,
        `the proof of ${driver.name}`,
        this.#signal,
        async (limited) => {
          await this.#mayProve(driver)
          return await driver.fingerprint(limited)
        },
      )
    } catch (thrown) {
      const error = CoveError.from(thrown)
      fingerprint = { proven: false, reason: error.message, fix: error.fix }
    }
    this.#keep(driver, fingerprint)
    return fingerprint
  }

  async #mayProve(driver: Driver): Promise<void> {
    const proof = this.#proofs.get(driver.name)
    if (proof !== undefined) proof.refused = true
    await this.#allowed(driver)
    if (proof !== undefined) proof.refused = false
  }

  #keep(driver: Driver, fingerprint: Fingerprint): void {
    const proof = this.#proofs.get(driver.name)
    const before = proof?.current
    if (proof !== undefined) {
      proof.current = fingerprint
      proof.resolve(fingerprint)
    }
    if (before?.proven === fingerprint.proven) return
    if (fingerprint.proven) this.#log.info('driver proven', { driver: driver.name, native: fingerprint.native })
    else this.#log.info('driver not available', { driver: driver.name, reason: fingerprint.reason })
  }
}
