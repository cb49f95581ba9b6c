import { createHash } from 'node:crypto'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { release } from 'node:os'
import {
  CoveError,
  describeExit,
  newMachineId,
  newProcessId,
  type Driver,
  type Exit,
  type Fingerprint,
  type LimitName,
  type Machine,
  type Random,
  type TemplateRoot,
} from '@cove/domain'
import { openGuestLink } from '@cove/guest-link'

export interface Proof {
  readonly signal: AbortSignal
  readonly random: Random
  /** Programs that the proof depends on: when one changes, an old proof says nothing. */
  readonly programs: readonly string[]
  /** Where the last proof is kept. */
  readonly cache: string
  /** A proof from another run of the daemon will do. */
  readonly trustCache: boolean
  readonly native: boolean
  /** Looks at the machine while its agent runs; fails when something is missing. */
  readonly look?: (machine: Machine) => Promise<void>
  /** What the machine starts from. Default: the host's programs. */
  readonly from?: TemplateRoot
  /** What is run in it and has to end with 0. Default: `/bin/true`. */
  readonly argv?: readonly string[]
  readonly enforces: readonly LimitName[]
  readonly details: Readonly<Record<string, string>>
  /** Milliseconds that all of it may take. Default 20,000. */
  readonly deadlineMs?: number
  /** What to do when no machine runs. */
  readonly fix: string
}

const DEADLINE_MS = 20_000

/** Makes a machine, runs a command in it and removes it: what has done that once can do it again. */
export async function proveByRunning(driver: Driver, proof: Proof): Promise<Fingerprint> {
  const proven = { proven: true, native: proof.native, details: proof.details, enforces: proof.enforces } as const
  const key = await keyOf(proof.programs)
  if (proof.trustCache && (await readFile(proof.cache, 'utf8').catch(() => '')) === key) return proven
  const signal = AbortSignal.any([proof.signal, AbortSignal.timeout(proof.deadlineMs ?? DEADLINE_MS)])
  try {
    const exit = await runOnce(driver, proof, signal)
    if (exit.kind !== 'exited' || exit.code !== 0) {
      return { proven: false, reason: `${argvOf(proof)[0]} in a machine ${describeExit(exit)}`, fix: proof.fix }
    }
  } catch (error) {
    if (proof.signal.aborted) throw CoveError.from(error)
    const { message, context } = CoveError.from(error)
    const said = typeof context['stderr'] === 'string' ? `: ${context['stderr']}` : ''
    return { proven: false, reason: `no machine runs: ${message}${said}`, fix: proof.fix }
  }
  await writeFile(`${proof.cache}.new`, key)
  await rename(`${proof.cache}.new`, proof.cache)
  return proven
}

const argvOf = ({ argv }: Proof): readonly string[] => argv ?? ['/bin/true']

async function runOnce(driver: Driver, proof: Proof, signal: AbortSignal): Promise<Exit> {
  const { random, from = { kind: 'host' } } = proof
  const id = newMachineId(random)
  try {
    const machine = await driver.create(
      id,
      { from, limits: {}, network: { kind: 'none' }, hostname: 'proof' },
      { signal, progress: () => undefined },
    )
    let epoch = 0
    await using link = await openGuestLink({
      connect: (connectSignal) => machine.connectGuest(connectSignal),
      token: random.bytes(32),
      ...(machine.singleStream === true ? { singleStream: true } : {}),
      nextEpoch: () => ++epoch,
      random,
      signal,
    })
    await proof.look?.(machine)
    const { events } = await link.start({ id: newProcessId(random), argv: argvOf(proof), env: {} }, signal)
    for await (const event of events) if (event.type === 'exit') return event.exit
    return { kind: 'lost' }
  } finally {
    await driver.destroy(id)
  }
}

/** Kernel, boot, user and the programs themselves. */
async function keyOf(programs: readonly string[]): Promise<string> {
  const hash = createHash('sha256')
  const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '')
  hash.update(JSON.stringify([release(), boot, process.getuid?.() ?? -1]))
  for (const program of programs) hash.update(await readFile(program))
  return hash.digest('hex')
}
