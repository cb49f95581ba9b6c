import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { newMachineId } from '@cove/domain'
import { systemRandom } from '@cove/domain/system'
import { ballast, openHost, PLAIN_SPEC } from './lib/host.ts'
import { quantile, round, type Benchmark } from './lib/result.ts'

const RSS_MIB = 300

/** How long starting a machine keeps the event loop of a 300 MiB process, against child_process.spawn in the same one. */
export const run: Benchmark = async ({ quick }) => {
  const n = quick ? 20 : 100
  await using host = await openHost()
  const weight = ballast(RSS_MIB)
  const stalls: number[] = []
  for (let i = 0; i < n; i++) {
    const id = newMachineId(systemRandom)
    const probe = watchLoop()
    await host.driver.create(id, PLAIN_SPEC, { signal: AbortSignal.timeout(10_000), progress: () => {} })
    stalls.push(probe.stop())
    await host.driver.destroy(id)
  }
  const spawns: number[] = []
  for (let i = 0; i < (quick ? 5 : 20); i++) {
    const start = performance.now()
    const child = spawn('/bin/true', { stdio: 'ignore' })
    spawns.push(performance.now() - start)
    await once(child, 'exit')
  }
  const p50 = quantile(stalls, 0.5)
  const base = quantile(spawns, 0.5)
  return {
    name: 'stall',
    n,
    p50_ms: p50,
    p99_ms: quantile(stalls, 0.99),
    baseline_p50_ms: base,
    ratio: round(p50 / base),
    rss_mib: Math.round(process.memoryUsage.rss() / 2 ** 20),
    held_buffers: weight.held.length,
  }
}

/** The longest turn of the event loop since the start, in milliseconds. */
function watchLoop(): { stop(): number } {
  let longest = 0
  let last = performance.now()
  let running = true
  const turn = () => {
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
    if (running) setImmediate(turn)
  }
  setImmediate(turn)
  return {
    stop() {
      running = false
      return longest
    },
  }
}
