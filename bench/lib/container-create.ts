import { Api } from './api.ts'
import { buildTemplate } from './build-template.ts'
import { startDaemon } from './daemon.ts'
import { findRuntime, rawContainers, type Runtime } from './raw-container.ts'
import { quantile, round, type Benchmark } from './result.ts'

/** Create to first command's result over the HTTP API, from a small image, against one whole `run` of the runtime. */
export function containerCreate(name: string, driver: string, runtime: Runtime): Benchmark {
  return async ({ quick }) => {
    const program = await findRuntime(runtime)
    if (program === undefined) return { name, n: 0, skipped: `${runtime} is not installed` }
    await using raw = await rawContainers(runtime, program)
    await using daemon = await startDaemon(['--drivers', driver])
    const api = new Api(daemon)
    const request = { template: await buildTemplate(daemon, `directory:${raw.rootfs}`), driver }
    const [n, warmUp] = quick ? [20, 5] : [100, 20]
    const samples: number[] = []
    const baseline: number[] = []
    for (let i = 0; i < warmUp + n; i++) {
      const start = performance.now()
      const id = await api.create(request)
      await api.run(id, ['/bin/true'])
      const took = performance.now() - start
      await api.delete(id)
      const bare = await raw.once()
      if (i < warmUp) continue
      samples.push(took)
      baseline.push(bare)
    }
    api.close()
    const p50 = quantile(samples, 0.5)
    const base = quantile(baseline, 0.5)
    return {
      name,
      n: samples.length,
      p50_ms: p50,
      p99_ms: quantile(samples, 0.99),
      baseline_p50_ms: base,
      ratio: round(p50 / base),
    }
  }
}
