import {
  CoveError,
  describeExit,
  newMachineId,
  newSandboxId,
  readsDisk,
  type BuildRequest,
  type CreateContext,
  type DiskContent,
  type Driver,
  type Guest,
  type ImageDefaults,
  type Machine,
  type MachineId,
  type TemplateRoot,
} from '@cove/domain'
import { chooseDriver } from '../choose-driver.ts'
import { GuestSession } from '../guest-session.ts'
import { throwIfAborted, withDeadline } from '../wait.ts'
import type { BuildParts } from './build-parts.ts'

/** By its number: an image need not have names. */
export const ROOT = '0'

const TOKEN_BYTES = 32
/** Milliseconds to write out what the guest has in memory. */
const QUIESCE_MS = 60_000
/** Milliseconds to hear how a machine ended whose stream broke. */
const END_MS = 2_000

export interface BuildMachineWish extends Pick<BuildRequest, 'network' | 'limits' | 'driver'> {
  readonly from: TemplateRoot
  readonly defaults: ImageDefaults
}

/**
 * A machine that no record tells of: the next daemon removes it when this one is killed. Acts as root where the image
 * does not say otherwise, as builds of images do.
 */
export class BuildMachine implements AsyncDisposable {
  readonly #parts: BuildParts
  readonly #driver: Driver
  readonly #machine: Machine
  readonly #session: GuestSession

  private constructor(parts: BuildParts, driver: Driver, machine: Machine, session: GuestSession) {
    this.#parts = parts
    this.#driver = driver
    this.#machine = machine
    this.#session = session
  }

  static async open(parts: BuildParts, wish: BuildMachineWish, context: CreateContext): Promise<BuildMachine> {
    const { signal } = context
    const spec = { from: wish.from, limits: wish.limits, network: wish.network, hostname: 'build' }
    const driver = await chooseDriver(parts.drivers, parts.proofs, { driver: wish.driver, spec }, signal)
    await parts.recoveries.wait(driver.name, signal)
    const id = newMachineId(parts.random)
    let session: GuestSession | undefined
    try {
      const machine = await driver.create(id, spec, context)
      session = new GuestSession(newSandboxId(parts.random), machine, parts.random.bytes(TOKEN_BYTES), parts.session)
      const { env, user = ROOT, workdir = '/' } = wish.defaults
      await session.configure(
        { hostname: 'build', env, user, workdir, entropy: parts.random.bytes(32), clock: parts.clock.now() },
        signal,
      )
      return new BuildMachine(parts, driver, machine, session)
    } catch (thrown) {
      await session?.close(new CoveError('cancelled', 'the build has ended'))
      await remove(parts, driver, id)
      throwIfAborted(signal)
      throw CoveError.from(thrown, 'driver-failed')
    }
  }

  get guest(): Guest {
    return this.#session.guest
  }

  /** What has been written since it was made; the machine stands still until that is disposed. */
  async read(context: CreateContext): Promise<DiskContent & AsyncDisposable> {
    const machine = this.#machine
    if (!readsDisk(machine)) {
      const { name } = this.#driver
      throw new CoveError(
        'unsupported',
        `the driver ${name} cannot save what a machine has written`,
        { driver: name },
        {
          fix: 'Build with another driver; `cove doctor` shows which there are.',
        },
      )
    }
    await withDeadline(this.#parts.clock, QUIESCE_MS, 'writing out the files', context.signal, async (signal) => {
      await (await this.#session.link(signal)).quiesce(true, signal)
    })
    return await machine.readDisk(context)
  }

  /** The error of a call into the machine, or how the machine has ended when that is why. */
  async explain(thrown: unknown): Promise<CoveError> {
    const error = CoveError.from(thrown)
    const broken = error.code === 'guest-unreachable' || error.code === 'stale-session' || error.code === 'wrong-state'
    if (!broken) return error
    try {
      const exit = await withDeadline(this.#parts.clock, END_MS, 'the end', undefined, () => this.#machine.exited)
      return new CoveError('build-failed', `the machine ${describeExit(exit)}`, {}, { cause: error })
    } catch {
      return error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session.close(new CoveError('cancelled', 'the step is over'))
    await remove(this.#parts, this.#driver, this.#machine.id)
  }
}

/** Whatever the driver says, the machine goes, now or a little later. */
async function remove(parts: BuildParts, driver: Driver, id: MachineId): Promise<void> {
  try {
    await driver.destroy(id)
  } catch (error) {
    parts.log.warn('the machine of a build is removed later', { machine: id, error: CoveError.from(error).message })
    parts.strays.add({ driver, machine: id })
    parts.strays.removeInBackground()
  }
}
