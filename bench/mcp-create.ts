import { Api } from './lib/api.ts'
import { startDaemon } from './lib/daemon.ts'
import { Mcp } from './lib/mcp.ts'
import { quantile, round, type Benchmark } from './lib/result.ts'

/** A create over MCP, against the same over the API. */
export const run: Benchmark = async ({ quick }) => {
  const n = quick ? 60 : 300
  await using daemon = await startDaemon(['--mcp-max-environments', '100000'])
  const api = new Api(daemon)
  using mcp = new Mcp(daemon)
  const warmUp = quick ? 20 : 100
  const samples: number[] = []
  const baseline: number[] = []
  for (let i = 0; i < warmUp + n; i++) {
    const start = performance.now()
    const { environment_id } = await mcp.call('create_environment', { runtime: 'python' })
    const middle = performance.now()
    const id = await api.create()
    const end = performance.now()
    if (i >= warmUp) {
      samples.push(middle - start)
      baseline.push(end - middle)
    }
    await api.delete(id)
    await api.delete(String(environment_id))
  }
  api.close()
  const p50 = quantile(samples, 0.5)
  const base = quantile(baseline, 0.5)
  return {
    name: 'mcp-create',
    n,
    p50_ms: p50,
    p99_ms: quantile(samples, 0.99),
    baseline_p50_ms: base,
    over_ms: round(p50 - base),
    ratio: round(p50 / base),
  }
}
