import { Cove } from '@cove/sdk'
import { missingForVms } from './lib/raw-vm.ts'
import { quantile, round, type Benchmark } from './lib/result.ts'
import { openVmHouse, timedCreate } from './lib/vm-house.ts'

const BYTES = 64 * 1024 * 1024

/** A command in a running virtual machine and what it writes, against a bare one with a program that does the least. */
export const run: Benchmark = async ({ quick }) => {
  const name = 'vm-exec'
  const missing = await missingForVms()
  if (missing !== undefined) return { name, n: 0, skipped: missing }
  await using house = await openVmHouse()
  const { api, daemon } = house
  await using bare = await house.raw.start()
  const { id } = await timedCreate(api, house.request)
  const n = quick ? 30 : 200
  const [samples, baseline]: [number[], number[]] = [[], []]
  for (let i = 0; i < n + 5; i++) {
    const start = performance.now()
    await api.run(id, ['/bin/true'])
    const took = performance.now() - start
    const base = await bare.command()
    if (i < 5) continue
    samples.push(took)
    baseline.push(base)
  }
  const cove = new Cove({ url: daemon.url, apiKey: daemon.apiKey })
  const sandbox = await cove.sandboxes.get(id)
  const [rates, raws]: [number[], number[]] = [[], []]
  for (let i = 0; i < 3; i++) {
    raws.push(await bare.stream())
    const start = performance.now()
    const command = await sandbox.start(['/bin/dd', 'if=/dev/zero', 'bs=1M', `count=${BYTES / 2 ** 20}`])
    let received = 0
    for await (const event of command.events())
      if (event.type === 'output' && event.stream === 'stdout') received += event.data.length
    if (received !== BYTES) throw new Error(`${received} of ${BYTES} bytes arrived`)
    rates.push(BYTES / 1e3 / (performance.now() - start))
  }
  const [p50, base] = [quantile(samples, 0.5), quantile(baseline, 0.5)]
  const [rate, raw] = [Math.max(...rates), Math.max(...raws)]
  return {
    name,
    n,
    p50_ms: p50,
    p99_ms: quantile(samples, 0.99),
    baseline_p50_ms: base,
    ratio: round(p50 / base),
    mb_per_s: round(rate),
    baseline_mb_per_s: round(raw),
    throughput_ratio: round(rate / raw),
  }
}
