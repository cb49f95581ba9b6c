import { missingForVms } from './lib/raw-vm.ts'
import { quantile, round, type Benchmark } from './lib/result.ts'
import { openVmHouse, timedCreate } from './lib/vm-house.ts'

const AT_ONCE = 16

/** A sandbox from a memory snapshot to its first result, against QEMU alone doing the same; then many at once. */
export const run: Benchmark = async ({ quick }) => {
  const name = 'vm-restore'
  const missing = await missingForVms()
  if (missing !== undefined) return { name, n: 0, skipped: missing }
  await using house = await openVmHouse()
  const { api, raw, request } = house
  const { id: parent } = await timedCreate(api, request)
  const kind = 'SNAPSHOT_KIND_MEMORY'
  const { snapshot } = await api.call<{ snapshot: { id: string } }>('SnapshotService/CreateSnapshot', {
    sandbox: parent,
    kind,
  })
  await api.delete(parent)
  const { template: _template, ...rest } = request
  const again = { ...rest, snapshot: snapshot.id }
  const n = quick ? 8 : 40
  const [samples, baseline]: [number[], number[]] = [[], []]
  for (let i = 0; i < n + 2; i++) {
    const { id, ms } = await timedCreate(api, again)
    await api.delete(id)
    const bare = await raw.restored()
    if (i < 2) continue
    samples.push(ms)
    baseline.push(bare)
  }
  const start = performance.now()
  const many = await Promise.all(Array.from({ length: AT_ONCE }, () => timedCreate(api, again)))
  const allMs = performance.now() - start
  const pss = await house.pss()
  await Promise.all(many.map(({ id }) => api.delete(id)))
  const [p50, base] = [quantile(samples, 0.5), quantile(baseline, 0.5)]
  return {
    name,
    n,
    p50_ms: p50,
    p99_ms: quantile(samples, 0.99),
    baseline_p50_ms: base,
    ratio: round(p50 / base),
    all_at_once: AT_ONCE,
    all_at_once_ms: round(allMs),
    mib: round(pss / AT_ONCE),
  }
}
