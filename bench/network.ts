import { readFile } from 'node:fs/promises'
import { newMachineId, newProcessId, type Machine, type Network } from '@cove/domain'
import { systemRandom } from '@cove/domain/system'
import { openGuestLink, type GuestLink } from '@cove/guest-link'
import { openNetworkWorld, SINK_PORT, WORLD } from '../packages/drivers/test/support/network-world.ts'
import { openHost, PLAIN_SPEC, pssMib } from './lib/host.ts'
import { quantile, round, type Benchmark } from './lib/result.ts'

const INTERNET: Network = { kind: 'internet', allow: [] }
const MIB = 400

/** A machine with the network `internet` against one without, and what goes through it against the host itself. */
export const run: Benchmark = async ({ quick }) => {
  const n = quick ? 15 : 100
  await using world = await openNetworkWorld()
  await using host = await openHost((...launcher) => world.startLauncher(...launcher))
  const context = { signal: AbortSignal.timeout(300_000), progress: () => undefined }
  const create = (network: Network): Promise<Machine> =>
    host.driver.create(newMachineId(systemRandom), { ...PLAIN_SPEC, network }, context)

  const timed = async (network: Network): Promise<number> => {
    const start = performance.now()
    const machine = await create(network)
    const ms = performance.now() - start
    await host.driver.destroy(machine.id)
    return ms
  }
  const [none, internet]: [number[], number[]] = [[], []]
  for (let i = 0; i < n + 10; i++) {
    const [plain, networked] = [await timed({ kind: 'none' }), await timed(INTERNET)]
    if (i < 10) continue
    none.push(plain)
    internet.push(networked)
  }

  const machine = await create(INTERNET)
  let epoch = 0
  const link = await openGuestLink({
    connect: (signal) => machine.connectGuest(signal),
    token: systemRandom.bytes(32),
    nextEpoch: () => ++epoch,
    random: systemRandom,
    signal: context.signal,
  })
  const idle = await memory(host.launcher, machine)
  const [direct, through]: [number[], number[]] = [[], []]
  for (let i = 0; i < (quick ? 2 : 5); i++) {
    direct.push(rateOf(await world.onHost(['bash', '-c', SEND])))
    through.push(rateOf(await said(link, SEND, context.signal)))
  }
  const loaded = await memory(host.launcher, machine)
  await link.close()
  await host.driver.destroy(machine.id)
  const [p50, base] = [quantile(internet, 0.5), quantile(none, 0.5)]
  return {
    name: 'network',
    n,
    p50_ms: p50,
    p99_ms: quantile(internet, 0.99),
    baseline_p50_ms: base,
    ratio: round(p50 / base),
    extra_ms: round(p50 - base),
    extra_mib: round(loaded),
    extra_idle_mib: round(idle),
    gbit_per_s: quantile(through, 0.5),
    baseline_gbit_per_s: quantile(direct, 0.5),
  }
}

const SEND = `export LC_ALL=C; dd if=/dev/zero bs=1M count=${MIB} 2>&1 >/dev/tcp/${WORLD.public4}/${SINK_PORT}`

/** In Gbit/s, from what dd says of itself. */
function rateOf(text: string): number {
  const seconds = Number(/, ([0-9.e+-]+) s,/.exec(text)?.[1])
  return round((MIB * 2 ** 20 * 8) / seconds / 1e9)
}

/** Of the processes that a network adds, in MiB (PSS). */
async function memory(launcher: Awaited<ReturnType<typeof openHost>>['launcher'], machine: Machine): Promise<number> {
  const keeper = (await launcher.get(`network-${machine.id}`))?.pid ?? 0
  const children = (await readFile(`/proc/${keeper}/task/${keeper}/children`, 'utf8')).trim().split(' ').map(Number)
  let mib = 0
  for (const pid of [keeper, ...children]) mib += await pssMib(pid)
  return mib
}

async function said(link: GuestLink, script: string, signal: AbortSignal): Promise<string> {
  const argv = ['/bin/bash', '-c', script]
  const { events } = await link.start({ id: newProcessId(systemRandom), argv, env: {} }, signal)
  let text = ''
  for await (const event of events) if (event.type === 'output') text += Buffer.from(event.data).toString()
  return text
}
