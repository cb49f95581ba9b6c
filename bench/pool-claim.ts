import { Api } from './lib/api.ts'
import { missingFor, openEngineHouse, type EngineHouse } from './lib/engines.ts'
import { quantile, round, type Benchmark } from './lib/result.ts'

const DRIVERS = ['bubblewrap', 'crun', 'runc', 'gvisor', 'docker', 'containerd', 'qemu'] as const
const READY = 4

/** A sandbox out of a warm pool, to its first command's result over the HTTP API, for every driver that is here. */
export const run: Benchmark = async ({ quick }) => {
  const result: Record<string, number | string> = {}
  const all: number[] = []
  for (const driver of DRIVERS) {
    if ((await missingFor(driver)) !== undefined) continue
    await using house = await openEngineHouse(driver)
    const samples = await claims(house, driver, quick ? 10 : 60)
    result[`${driver}_p50_ms`] = quantile(samples, 0.5)
    all.push(...samples)
  }
  return { name: 'pool-claim', n: all.length, p50_ms: quantile(all, 0.5), ...result }
}

async function claims({ daemon, template }: EngineHouse, driver: string, n: number): Promise<number[]> {
  const api = new Api(daemon)
  await api.call('PoolService/SetPool', { name: 'warm', template, driver, min: READY, max: READY })
  const samples: number[] = []
  // The first ones find code that has not been compiled.
  const warmUp = 8
  for (let i = 0; i < warmUp + n; i++) {
    await full(api)
    const start = performance.now()
    const { sandbox } = await api.call<{ sandbox: { id: string; pooled?: boolean } }>('SandboxService/CreateSandbox', {
      template,
      driver,
    })
    await api.run(sandbox.id, ['/bin/true'])
    const took = performance.now() - start
    if (sandbox.pooled !== true) throw new Error(`the pool of ${driver} was passed by`)
    await api.delete(sandbox.id)
    if (i >= warmUp) samples.push(round(took))
  }
  api.close()
  return samples
}

/** Filling it while the clock runs would measure that. */
async function full(api: Api): Promise<void> {
  for (;;) {
    const { pools } = await api.call<{ pools: { ready?: number; making?: number; problem?: string }[] }>(
      'PoolService/ListPools',
      {},
    )
    const [pool] = pools
    if (pool?.problem !== undefined && pool.problem !== '') throw new Error(pool.problem)
    if (pool?.ready === READY && (pool.making ?? 0) === 0) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
