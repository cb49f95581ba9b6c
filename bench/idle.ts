import { glob, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Api } from './lib/api.ts'
import { startDaemon } from './lib/daemon.ts'
import { processesOf, pssMib } from './lib/host.ts'
import { round, type Benchmark } from './lib/result.ts'

/** What an idle sandbox costs: PSS of all its processes and the kernel memory of its cgroup. */
export const run: Benchmark = async ({ quick }) => {
  const n = quick ? 20 : 100
  await using daemon = await startDaemon()
  const installation = (await readFile(join(daemon.dataDir, 'installation'), 'utf8')).trim()
  const api = new Api(daemon)
  for (let i = 0; i < n; i++) await api.run(await api.create(), ['/bin/true'])
  let pss = 0
  for (const pid of await processesOf(installation)) pss += await pssMib(pid)
  let kernel = 0
  for await (const group of glob(`/sys/fs/cgroup/memory/*${installation}*/memory.kmem.usage_in_bytes`)) {
    kernel += Number(await readFile(group, 'utf8')) / 2 ** 20
  }
  api.close()
  return { name: 'idle', n, mib: round((pss + kernel) / n), pss_mib: round(pss / n), kernel_mib: round(kernel / n) }
}
