import { randomId } from '@cove/domain'
import { systemRandom } from '@cove/domain/system'
import { ballast, openHost } from './lib/host.ts'
import { rawSpawn } from './lib/raw-spawn.ts'
import { quantile, round, type Benchmark } from './lib/result.ts'

/** Start of a host process until its record is on disk, in a small and in a large process. */
export const run: Benchmark = async ({ quick }) => {
  const n = quick ? 50 : 300
  await using host = await openHost()
  const measure = async () => {
    const samples: number[] = []
    for (let i = 0; i < n; i++) {
      const id = randomId(systemRandom)
      const start = performance.now()
      await host.launcher.start({ id, owner: 'durable', argv: ['/bin/sleep', '60'], env: {} })
      samples.push(performance.now() - start)
      await host.launcher.destroy(id)
    }
    return samples
  }
  await measure()
  const small = await measure()
  const weight = ballast(400)
  const large = await measure()
  const baseline = await rawSpawn(n, ['/bin/true'])
  const p50 = quantile(large, 0.5)
  const base = quantile(baseline, 0.5)
  return {
    name: 'launcher',
    n,
    p50_ms: p50,
    p99_ms: quantile(large, 0.99),
    small_p50_ms: quantile(small, 0.5),
    baseline_p50_ms: base,
    ratio: round(p50 / base),
    held_buffers: weight.held.length,
  }
}
