import { Api } from './lib/api.ts'
import { startDaemon } from './lib/daemon.ts'
import { rawSpawn } from './lib/raw-spawn.ts'
import { quantile, round, type Benchmark } from './lib/result.ts'

/** A command's round trip in a running sandbox over the HTTP API, against fork and exec on the host. */
export const run: Benchmark = async ({ quick }) => {
  const n = quick ? 300 : 2000
  await using daemon = await startDaemon()
  const api = new Api(daemon)
  const id = await api.create()
  for (let i = 0; i < 100; i++) await api.run(id, ['/bin/true'])
  const samples: number[] = []
  for (let i = 0; i < n; i++) {
    const start = performance.now()
    await api.run(id, ['/bin/true'])
    samples.push(performance.now() - start)
  }
  const baseline = await rawSpawn(quick ? 100 : 500, ['/bin/true'])
  api.close()
  const p50 = quantile(samples, 0.5)
  const base = quantile(baseline, 0.5)
  return {
    name: 'exec',
    n,
    p50_ms: p50,
    p99_ms: quantile(samples, 0.99),
    baseline_p50_ms: base,
    ratio: round(p50 / base),
  }
}
