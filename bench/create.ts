import { Api } from './lib/api.ts'
import { startDaemon } from './lib/daemon.ts'
import { RAW_BWRAP, rawSpawn } from './lib/raw-spawn.ts'
import { quantile, round, type Benchmark } from './lib/result.ts'

/** Create to first command's result over the HTTP API, against raw bwrap with the same namespaces. */
export const run: Benchmark = async ({ quick }) => {
  const n = quick ? 60 : 300
  await using daemon = await startDaemon()
  const api = new Api(daemon)
  const samples: number[] = []
  // A daemon that has served a while: its code has been compiled.
  const warmUp = quick ? 20 : 150
  const baseline: number[] = []
  for (let i = 0; i < warmUp + n; i++) {
    const start = performance.now()
    const id = await api.create()
    await api.run(id, ['/bin/true'])
    if (i >= warmUp) samples.push(performance.now() - start)
    await api.delete(id)
    // Interleaved, so that a noisy moment of the machine meets both alike.
    if (i % 10 === 0) baseline.push(...(await rawSpawn(12, RAW_BWRAP)).slice(2))
  }
  api.close()
  const p50 = quantile(samples, 0.5)
  const base = quantile(baseline, 0.5)
  return {
    name: 'create',
    n: samples.length,
    p50_ms: p50,
    p99_ms: quantile(samples, 0.99),
    baseline_p50_ms: base,
    ratio: round(p50 / base),
  }
}
