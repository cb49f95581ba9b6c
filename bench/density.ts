import { readFile } from 'node:fs/promises'
import { Api } from './lib/api.ts'
import { startDaemon } from './lib/daemon.ts'
import { quantile, round, type Benchmark } from './lib/result.ts'

/** Many idle sandboxes: a command in each in turn, then in all at once. */
export const run: Benchmark = async ({ quick }) => {
  const n = quick ? 60 : 500
  await using daemon = await startDaemon()
  const api = new Api(daemon)
  const ids: string[] = []
  for (let i = 0; i < n; i++) ids.push(await api.create())
  const samples: number[] = []
  for (const id of ids) {
    const start = performance.now()
    await api.run(id, ['/bin/true'])
    samples.push(performance.now() - start)
  }
  const start = performance.now()
  await Promise.all(ids.map((id) => api.run(id, ['/bin/true'])))
  const all = performance.now() - start
  const status = await readFile(`/proc/${daemon.pid}/status`, 'utf8')
  api.close()
  return {
    name: 'density',
    n,
    p50_ms: quantile(samples, 0.5),
    p99_ms: quantile(samples, 0.99),
    all_at_once_ms: round(all),
    daemon_rss_mib: Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024),
  }
}
