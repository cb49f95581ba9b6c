import {
  CoveError,
  isRenamable,
  keepsDisks,
  newDiskId,
  newMachineId,
  newSandboxId,
  type Driver,
  type MachineSpec,
  type PoolSpec,
  type SandboxSpec,
} from '@cove/domain'
import { findGround, findSavedGround } from '../ground.ts'
import { GuestSession } from '../guest-session.ts'
import type { NodeParts } from '../node-parts.ts'
import { preferMemory } from '../prefer-memory.ts'
import { throwIfAborted, withDeadline } from '../wait.ts'
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
    const { limits, network, memory } = pool
    const wanted: MachineSpec = { from: ground.from, limits, network, hostname: NAME }
    const driver = await preferMemory(parts, pool, wanted, signal)
    await parts.recoveries.wait(driver.name, signal)
    const of = { driver: driver.name, ground: ground.image ?? 'host', limits, network }
    if (memory?.driver === driver.name && memory.unfit === undefined) {
      try {
        using saved = await findSavedGround(parts, memory.snapshot, parts.snapshots.find(memory.snapshot))
        const made = await makeMachine(parts, driver, { ...wanted, from: saved.from }, saved.saved?.token, signal)
        return { driver, ground, ...made, key: demandKey({ ...of, memory: memory.snapshot }) }
      } catch (error) {
        throwIfAborted(signal)
        const { code, message } = CoveError.from(error)
        parts.log.warn("a pool is filled without its template's memory", { pool: pool.name, code, error: message })
      }
    }
    const made = await makeMachine(parts, driver, wanted, undefined, signal)
    return { driver, ground, ...made, key: demandKey(of) }
  } catch (error) {
    ground[Symbol.dispose]()
    throw CoveError.from(error, 'driver-failed')
  }
}

/** `savedToken` opens the guest of a saved machine, which takes another one at once. */
async function makeMachine(
  parts: NodeParts,
  driver: Driver,
  wanted: MachineSpec,
  savedToken: Uint8Array | undefined,
  signal: AbortSignal,
): Promise<Pick<WarmMachine, 'machine' | 'session' | 'token' | 'awake' | 'disk'>> {
  const disk = keepsDisks(driver) ? { disk: newDiskId(parts.random) } : {}
  const id = newMachineId(parts.random)
  const token = parts.random.bytes(TOKEN_BYTES)
  try {
    return await parts.creates.run(signal, async () => {
      const machine = await driver.create(id, { ...wanted, ...disk }, { signal, progress: () => undefined })
      const session = new GuestSession(undefined, machine, savedToken ?? token, parts.session)
      try {
        await withDeadline(parts.clock, parts.session.guestTimeoutMs, 'the guest agent', signal, (limited) =>
          session.link(limited),
        )
        if (savedToken !== undefined) {
          const entropy = parts.random.bytes(32)
          await session.configure({ hostname: NAME, env: {}, entropy, clock: parts.clock.now(), token }, signal)
        }
        // What cannot be named later would be known by its name.
        if (isRenamable(machine)) await machine.rename(NAME)
      } catch (error) {
        session.end(CoveError.from(error))
        throw error
      }
      return { machine, session, token, awake: savedToken !== undefined, ...disk }
    })
  } catch (error) {
    parts.strays.add({ driver, machine: id, ...disk })
    parts.strays.removeInBackground()
    throw error
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
