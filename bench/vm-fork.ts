import { missingForVms } from './lib/raw-vm.ts'
import { quantile, round, type Benchmark } from './lib/result.ts'
import { openVmHouse, timedCreate, type VmHouse } from './lib/vm-house.ts'

const CHILDREN = 8

/**
 * One running sandbox into eight, until all have answered; once of one that was booted, once of one that is a child
 * itself and whose memory has to be written out whole.
 */
export const run: Benchmark = async ({ quick }) => {
  const name = 'vm-fork'
  const missing = await missingForVms()
  if (missing !== undefined) return { name, n: 0, skipped: missing }
  await using house = await openVmHouse()
  const { id: parent } = await timedCreate(house.api, house.request)
  const n = quick ? 3 : 12
  const first = await forks(house, parent, n)
  const { sandboxes } = await fork(house, parent, 1)
  const child = sandboxes[0]?.id ?? ''
  await house.api.run(child, ['/bin/true'])
  const second = await forks(house, child, n)
  return {
    name,
    n,
    p50_ms: quantile(first.took, 0.5),
    p99_ms: quantile(first.took, 0.99),
    mib: round(quantile(first.each, 0.5)),
    second_generation_p50_ms: quantile(second.took, 0.5),
    second_generation_mib: round(quantile(second.each, 0.5)),
  }
}

interface Forked {
  readonly sandboxes: readonly { readonly id: string }[]
  readonly kind: string
}

async function fork({ api }: VmHouse, id: string, count: number): Promise<Forked> {
  const answer = await api.call<Forked>('SandboxService/ForkSandbox', { id, count })
  if (!answer.kind.endsWith('MEMORY')) throw new Error(`the children have only ${answer.kind}`)
  return answer
}

async function forks(
  house: VmHouse,
  parent: string,
  n: number,
): Promise<{ readonly took: readonly number[]; readonly each: readonly number[] }> {
  const [took, each]: [number[], number[]] = [[], []]
  for (let i = 0; i < n + 1; i++) {
    const before = await house.pss()
    const start = performance.now()
    const { sandboxes } = await fork(house, parent, CHILDREN)
    await Promise.all(sandboxes.map(({ id }) => house.api.run(id, ['/bin/true'])))
    const ms = performance.now() - start
    const after = await house.pss()
    await Promise.all(sandboxes.map(({ id }) => house.api.delete(id)))
    if (i === 0) continue
    took.push(ms)
    each.push((after - before) / CHILDREN)
  }
  return { took, each }
}
