import { PoolService, type Limits as WireLimits, type Pool as WirePool } from '@cove/api'
import { CoveError, type Network } from '@cove/domain'
import type { CallOptions } from './call-options.ts'
import { limitsInit } from './convert/limits.ts'
import { networkInit, networkOf } from './convert/sandbox.ts'
import type { LimitOptions } from './sandbox-options.ts'
import type { Rpc } from './wire/rpc.ts'

/** Machines made ahead of time, and how well they serve. */
export interface PoolInfo {
  readonly name: string
  readonly template: string
  /** Absent until the node has chosen one. */
  readonly driver?: string
  readonly limits: LimitOptions
  readonly network: Network
  readonly min: number
  readonly max: number
  /** Machines that wait for a sandbox, and those that are being made. */
  readonly ready: number
  readonly making: number
  /** Creates that it could have served, and those that it did, since the node started. */
  readonly asked: number
  readonly served: number
  /** Machines that ended, or did not answer, before anyone took them. */
  readonly broken: number
  /** Why it cannot be refilled. */
  readonly problem?: string
}

/** What a pool holds ready. A create gets one of its machines when it asks for exactly this. */
export interface PoolOptions extends CallOptions {
  readonly template: string
  /** Default: the driver that creates without a wish get. */
  readonly driver?: string
  readonly limits?: LimitOptions
  /** Default `none`. */
  readonly network?: 'none' | 'internet' | Network
  /** Kept ready. */
  readonly min: number
  /** Made ahead at most, when many are asked for. Default: as many as `min`. */
  readonly max?: number
}

/** The warm pools of the project. Making them is for admins. */
export class Pools {
  readonly #rpc: Rpc

  /** @internal */
  constructor(rpc: Rpc) {
    this.#rpc = rpc
  }

  /** Makes a pool or changes it. */
  async set(name: string, options: PoolOptions): Promise<PoolInfo> {
    const { template, driver = '', limits, network, min, max = 0 } = options
    const request = {
      name,
      template,
      driver,
      min,
      max,
      ...(limits === undefined ? {} : { limits: limitsInit(limits) }),
      ...(network === undefined ? {} : { network: networkInit(network) }),
    }
    const answer = await this.#rpc.unary(PoolService.method.setPool, request, { ...options, idempotent: true })
    return poolInfo(answer.pool)
  }

  /** By name. */
  async list(options: CallOptions = {}): Promise<PoolInfo[]> {
    return (await this.#rpc.unary(PoolService.method.listPools, {}, options)).pools.map(poolInfo)
  }

  /** Sandboxes that were made of it go on. */
  async delete(name: string, options: CallOptions = {}): Promise<void> {
    await this.#rpc.unary(PoolService.method.deletePool, { name }, { ...options, idempotent: true })
  }
}

function poolInfo(wire: WirePool | undefined): PoolInfo {
  if (wire === undefined) throw new CoveError('internal', 'the server answered without a pool')
  return {
    name: wire.name,
    template: wire.template,
    ...(wire.driver === '' ? {} : { driver: wire.driver }),
    limits: limitsOf(wire.limits),
    network: networkOf(wire.network),
    min: wire.min,
    max: wire.max,
    ready: wire.ready,
    making: wire.making,
    asked: Number(wire.asked),
    served: Number(wire.served),
    broken: Number(wire.broken),
    ...(wire.problem === '' ? {} : { problem: wire.problem }),
  }
}

function limitsOf(wire: WireLimits | undefined): LimitOptions {
  return {
    ...(wire?.memoryBytes === undefined ? {} : { memoryBytes: Number(wire.memoryBytes) }),
    ...(wire?.cpus === undefined ? {} : { cpus: wire.cpus }),
    ...(wire?.processes === undefined ? {} : { processes: wire.processes }),
    ...(wire?.diskBytes === undefined ? {} : { diskBytes: Number(wire.diskBytes) }),
  }
}
