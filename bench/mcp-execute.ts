import { startDaemon } from './lib/daemon.ts'
import { Mcp } from './lib/mcp.ts'
import { LOOP } from './lib/raw-spawn.ts'
import { quantile, round, type Benchmark } from './lib/result.ts'

const WARM_UP = 400

/** `execute` of `print(1)` over MCP in a running sandbox, against Python's own start and end in the same sandbox. */
export const run: Benchmark = async ({ quick }) => {
  const rounds = quick ? 20 : 100
  await using daemon = await startDaemon()
  using mcp = new Mcp(daemon)
  const { environment_id } = await mcp.call('create_environment', { runtime: 'python' })
  const execute = () => mcp.call('execute', { environment_id, code: 'print(1)' })
  const code = `exec perl -MTime::HiRes=time -e '${LOOP}' 7 python3 -c pass`
  const bare = async (): Promise<number[]> => {
    const { stdout } = await mcp.call('execute', { environment_id, code, language: 'shell' })
    return String(stdout).trim().split('\n').map(Number).slice(2)
  }
  // Until the daemon's code is compiled: what is promised is how it goes on, not how it begins.
  for (let i = 0; i < WARM_UP; i++) await execute()
  const samples: number[] = []
  const baseline: number[] = []
  for (let i = 0; i < rounds; i++) {
    for (let j = 0; j < 10; j++) {
      const start = performance.now()
      const { stdout } = await execute()
      samples.push(performance.now() - start)
      if (stdout !== '1\n') throw new Error(`print(1) printed ${JSON.stringify(stdout)}`)
    }
    // Interleaved, so that a noisy moment of the machine meets both alike.
    baseline.push(...(await bare()))
  }
  const p50 = quantile(samples, 0.5)
  const base = quantile(baseline, 0.5)
  return {
    name: 'mcp-execute',
    n: samples.length,
    p50_ms: p50,
    p99_ms: quantile(samples, 0.99),
    baseline_p50_ms: base,
    over_ms: round(p50 - base),
    ratio: round(p50 / base),
  }
}
