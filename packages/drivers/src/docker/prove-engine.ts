import {
  CoveError,
  describeExit,
  newMachineId,
  newProcessId,
  type CreateContext,
  type Machine,
  type MachineId,
  type MachineSpec,
  type Random,
} from '@cove/domain'
import { openGuestLink } from '@cove/guest-link'
import { AGENT_PATH } from './container-plan.ts'

const DEADLINE_MS = 30_000
const FIX = 'See what `docker run` says there, and `journalctl -u docker`.'

type Make = (
  id: MachineId,
  spec: MachineSpec,
  context: CreateContext,
) => Promise<AsyncDisposable & { readonly machine: Machine }>

/** Runs the agent in a machine with nothing else in it, and a command: the agent again. Answers why that failed. */
export async function proveEngine(
  random: Random,
  caller: AbortSignal,
  make: Make,
): Promise<{ readonly reason: string; readonly fix: string } | undefined> {
  const signal = AbortSignal.any([caller, AbortSignal.timeout(DEADLINE_MS)])
  const spec: MachineSpec = {
    from: { kind: 'layers', lower: [] },
    limits: {},
    network: { kind: 'none' },
    hostname: 'proof',
  }
  try {
    await using made = await make(newMachineId(random), spec, { signal, progress: () => undefined })
    let epoch = 0
    await using link = await openGuestLink({
      connect: (connectSignal) => made.machine.connectGuest(connectSignal),
      token: random.bytes(32),
      nextEpoch: () => ++epoch,
      random,
      signal,
    })
    const { events } = await link.start({ id: newProcessId(random), argv: [AGENT_PATH, 'version'], env: {} }, signal)
    for await (const event of events) {
      if (event.type !== 'exit') continue
      if (event.exit.kind === 'exited' && event.exit.code === 0) return undefined
      return { reason: `a command in a machine ${describeExit(event.exit)}`, fix: FIX }
    }
    return { reason: 'a command in a machine did not end', fix: FIX }
  } catch (error) {
    if (caller.aborted) throw CoveError.from(error)
    return { reason: `no machine runs: ${CoveError.from(error).message}`, fix: FIX }
  }
}
