import {
  CoveError,
  isRenamable,
  keepsDisks,
  newDiskId,
  newMachineId,
  newSandboxId,
  type MachineSpec,
  type PoolSpec,
  type SandboxSpec,
} from '@cove/domain'
import { chooseDriver } from '../choose-driver.ts'
import { findGround } from '../ground.ts'
import { GuestSession } from '../guest-session.ts'
import type { NodeParts } from '../node-parts.ts'
import { withDeadline } from '../wait.ts'
import { demandKey, type WarmMachine } from './warm-machine.ts'

const TOKEN_BYTES = 32
/** Until somebody takes it. */
const NAME = 'sandbox'

/** One machine as a pool wants it, with a guest that has answered. Nothing of one that failed stays. */
export async function makeWarm(parts: NodeParts, pool: PoolSpec, signal: AbortSignal): Promise<WarmMachine> {
  if (pool.from.kind === 'snapshot') {
    throw new CoveError('unsupported', 'what is saved with its memory cannot be made ahead', { field: 'from' })
  }
  const ground = await findGround(parts, stranger(parts, pool), undefined, () => undefined, signal)
  try {
    const wanted: MachineSpec = { from: ground.from, limits: pool.limits, network: pool.network, hostname: NAME }
    const driver = await chooseDriver(parts.drivers, parts.proofs, { driver: pool.driver, spec: wanted }, signal)
    await parts.recoveries.wait(driver.name, signal)
    const disk = keepsDisks(driver) ? newDiskId(parts.random) : undefined
    const id = newMachineId(parts.random)
    const token = parts.random.bytes(TOKEN_BYTES)
    try {
      return await parts.creates.run(signal, async () => {
        const spec = { ...wanted, ...(disk === undefined ? {} : { disk }) }
        const machine = await driver.create(id, spec, { signal, progress: () => undefined })
        const session = new GuestSession(undefined, machine, token, parts.session)
        try {
          await withDeadline(parts.clock, parts.session.guestTimeoutMs, 'the guest agent', signal, (limited) =>
            session.link(limited),
          )
          // What cannot be named later would be known by its name.
          if (isRenamable(machine)) await machine.rename(NAME)
        } catch (error) {
          session.end(CoveError.from(error))
          throw error
        }
        const { limits, network } = pool
        const key = demandKey({ driver: driver.name, ground: ground.image ?? 'host', limits, network })
        return { driver, machine, session, token, ground, key, ...(disk === undefined ? {} : { disk }) }
      })
    } catch (error) {
      parts.strays.add({ driver, machine: id, ...(disk === undefined ? {} : { disk }) })
      parts.strays.removeInBackground()
      throw error
    }
  } catch (error) {
    ground[Symbol.dispose]()
    throw CoveError.from(error, 'driver-failed')
  }
}

/** A sandbox that says no more than the pool does. */
function stranger({ random, clock }: NodeParts, { from, limits, network }: PoolSpec): SandboxSpec {
  return {
    id: newSandboxId(random),
    project: '',
    template: '',
    from,
    volumes: [],
    limits,
    network,
    env: {},
    labels: {},
    idleTimeout: 'never',
    lifetime: 'never',
    createdAt: clock.now(),
  }
}
