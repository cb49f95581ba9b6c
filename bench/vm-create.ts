import { missingForVms } from './lib/raw-vm.ts'
import { quantile, round, type Benchmark } from './lib/result.ts'
import { openVmHouse, timedCreate } from './lib/vm-house.ts'

/**
 * A virtual machine from its request over the HTTP API to its first command's result, against a bare one: QEMU with the
 * same kernel and memory, and a first program that does nothing but answer.
 */
export const run: Benchmark = async ({ quick }) => {
  const name = 'vm-create'
  const missing = await missingForVms()
  if (missing !== undefined) return { name, n: 0, skipped: missing }
  await using house = await openVmHouse()
  const n = quick ? 8 : 40
  const [samples, baseline]: [number[], number[]] = [[], []]
  for (let i = 0; i < n + 2; i++) {
    const { id, ms } = await timedCreate(house.api, house.request)
    await house.api.delete(id)
    const bare = await house.raw.cold()
    if (i < 2) continue
    samples.push(ms)
    baseline.push(bare)
  }
  const [p50, base] = [quantile(samples, 0.5), quantile(baseline, 0.5)]
  return { name, n, p50_ms: p50, p99_ms: quantile(samples, 0.99), baseline_p50_ms: base, ratio: round(p50 / base) }
}
