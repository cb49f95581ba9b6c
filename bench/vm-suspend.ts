import { missingForVms } from './lib/raw-vm.ts'
import { quantile, type Benchmark } from './lib/result.ts'
import { openVmHouse, timedCreate } from './lib/vm-house.ts'

/** A sandbox of 256 MiB put on the disk, and from there to its next result. */
export const run: Benchmark = async ({ quick }) => {
  const name = 'vm-suspend'
  const missing = await missingForVms()
  if (missing !== undefined) return { name, n: 0, skipped: missing }
  await using house = await openVmHouse()
  const { api } = house
  const n = quick ? 6 : 30
  const [pauses, resumes]: [number[], number[]] = [[], []]
  for (let i = 0; i < n + 1; i++) {
    const { id } = await timedCreate(api, house.request)
    const start = performance.now()
    await api.call('SandboxService/PauseSandbox', { id, toDisk: true })
    const paused = performance.now()
    await api.call('SandboxService/ResumeSandbox', { id })
    await api.run(id, ['/bin/true'])
    const resumed = performance.now()
    await api.delete(id)
    if (i === 0) continue
    pauses.push(paused - start)
    resumes.push(resumed - paused)
  }
  return {
    name,
    n,
    p50_ms: quantile(resumes, 0.5),
    p99_ms: quantile(resumes, 0.99),
    pause_p50_ms: quantile(pauses, 0.5),
    pause_p99_ms: quantile(pauses, 0.99),
  }
}
