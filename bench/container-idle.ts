import { glob, readFile, readlink } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { openDockerEngine } from '@cove/docker-engine'
import { Api } from './lib/api.ts'
import { missingFor, openEngineHouse, type EngineHouse } from './lib/engines.ts'
import { processesOf, pssMib } from './lib/host.ts'
import { round, type Benchmark, type Result } from './lib/result.ts'

const DRIVERS = ['crun', 'runc', 'docker', 'containerd'] as const
/** What a container takes whoever has made it. */
const RUNTIMES = ['crun', 'runc', 'containerd-shim-runc-v2']

/**
 * What an idle container of each driver takes of the host: PSS of its processes but the runtime's own, and the kernel
 * memory of its groups.
 */
export const run: Benchmark = async ({ quick }) => {
  const n = quick ? 5 : 30
  const figures: Record<string, number> = {}
  for (const driver of DRIVERS) {
    if ((await missingFor(driver)) !== undefined) continue
    await using house = await openEngineHouse(driver)
    const api = new Api(house.daemon)
    for (let i = 0; i < n; i++) {
      await api.run(await api.create({ template: house.template, driver }), ['/bin/true'])
    }
    const { pss, kernel } = await memoryOf(await groupsOf(driver, house))
    figures[`${driver}_mib`] = round((pss + kernel) / n)
    figures[`${driver}_kernel_mib`] = round(kernel / n)
    api.close()
  }
  const all = Object.entries(figures).flatMap(([name, value]) => (name.endsWith('_kernel_mib') ? [] : [value]))
  const result: Result = { name: 'container-idle', n: all.length * n, ...figures }
  return all.length === 0
    ? { ...result, skipped: 'no container runtime is installed' }
    : { ...result, mib: Math.max(...all) }
}

/** What the names of the groups of all its machines have in common: the installation, or each container's id. */
async function groupsOf(driver: string, house: EngineHouse): Promise<readonly string[]> {
  if (driver !== 'docker') return [(await readFile(join(house.daemon.dataDir, 'installation'), 'utf8')).trim()]
  using engine = await openDockerEngine({ kind: 'unix', path: house.socket })
  return (await engine.listContainers({})).map(({ id }) => id)
}

async function memoryOf(groups: readonly string[]): Promise<{ readonly pss: number; readonly kernel: number }> {
  let [pss, kernel] = [0, 0]
  for (const group of groups) {
    for (const pid of await processesOf(group)) {
      const program = basename(await readlink(`/proc/${pid}/exe`).catch(() => ''))
      if (!RUNTIMES.includes(program)) pss += await pssMib(pid)
    }
    for (const place of [`*${group}*`, `*/*${group}*`]) {
      for await (const file of glob(`/sys/fs/cgroup/memory/${place}/memory.kmem.usage_in_bytes`)) {
        kernel += Number(await readFile(file, 'utf8')) / 2 ** 20
      }
    }
  }
  return { pss, kernel }
}
