import type { MessageInitShape } from '@bufbuild/protobuf'
import type { PoolSchema, PoolService } from '@cove/api'
import type { Pools, PoolView } from '../../pools/pools.ts'
import { bad } from '../../sandboxes/request.ts'
import type { Methods } from './call.ts'
import { checkRef, parseLimits, parseNetwork } from './from-wire.ts'
import { toLimits, toNetwork } from './to-wire.ts'

export function poolMethods(pools: Pools): Methods<typeof PoolService> {
  return {
    async setPool({ name, template, driver, limits, network, min, max }, { caller }) {
      if (template === '') throw bad('template', 'is missing')
      const view = await pools.set(caller, {
        name: checkRef(name, 'name'),
        template,
        ...(driver === '' ? {} : { driver }),
        limits: parseLimits(limits),
        network: parseNetwork(network),
        min,
        max: max === 0 ? Math.max(1, min) : max,
      })
      return { pool: toPool(view) }
    },
    async listPools(_request, { caller }) {
      return { pools: (await pools.list(caller)).map(toPool) }
    },
    async deletePool({ name }, { caller }) {
      await pools.delete(caller, checkRef(name, 'name'))
      return {}
    },
  }
}

function toPool({ record, report, problem }: PoolView): MessageInitShape<typeof PoolSchema> {
  return {
    name: record.name,
    template: record.template,
    driver: record.driver ?? report?.driver ?? '',
    limits: toLimits(record.limits),
    network: toNetwork(record.network),
    min: record.min,
    max: record.max,
    ready: report?.ready ?? 0,
    making: report?.making ?? 0,
    asked: BigInt(report?.asked ?? 0),
    served: BigInt(report?.served ?? 0),
    broken: BigInt(report?.broken ?? 0),
    problem: problem ?? report?.problem ?? '',
  }
}
