import type { NodePools, PoolReport, PoolSpec } from '@cove/domain'
import type { NodeParts } from '../node-parts.ts'
import { makeWarm } from './make-warm.ts'
import { Pool } from './pool.ts'
import { demandKey, type Demand, type WarmMachine } from './warm-machine.ts'

/**
 * The pools of one node. Their machines have no records: a daemon that dies leaves them to the next one, which takes
 * them for strays and makes others.
 */
export class WarmPools implements NodePools {
  readonly #pools = new Map<string, { readonly pool: Pool; readonly text: string; readonly filled: Promise<void> }>()
  #parts: NodeParts | undefined
  #closed = false

  /** What the machines are made with; before that no pool is filled. */
  start(parts: NodeParts): void {
    this.#parts = parts
  }

  async set(specs: readonly PoolSpec[]): Promise<void> {
    const parts = this.#parts
    if (parts === undefined || this.#closed) return
    const wanted = new Map(specs.map((spec) => [spec.name, spec]))
    const gone: Promise<void>[] = []
    for (const [name, { pool, text, filled }] of this.#pools) {
      const spec = wanted.get(name)
      if (spec !== undefined && JSON.stringify(spec) === text) continue
      this.#pools.delete(name)
      gone.push(pool.close().then(() => filled))
    }
    for (const [name, spec] of wanted) {
      if (this.#pools.has(name)) continue
      const pool = new Pool(spec, {
        make: (asked, signal) => makeWarm(parts, asked, signal),
        discard: (leftover) => {
          parts.strays.add(leftover)
          parts.strays.removeInBackground()
        },
        clock: parts.clock,
        log: parts.log,
      })
      this.#pools.set(name, { pool, text: JSON.stringify(spec), filled: pool.fill() })
    }
    await Promise.all(gone)
  }

  async list(): Promise<readonly PoolReport[]> {
    return [...this.#pools.values()].map(({ pool }) => pool.report())
  }

  /** A machine for exactly this, from the first pool that has such ones. */
  take(demand: Demand): { readonly warm: WarmMachine; readonly spoiled: () => void } | undefined {
    if (this.#pools.size === 0) return undefined
    const key = demandKey(demand)
    for (const { pool } of this.#pools.values()) {
      const warm = pool.take(key)
      if (warm !== undefined) return { warm, spoiled: () => pool.spoiled() }
    }
    return undefined
  }

  async close(): Promise<void> {
    this.#closed = true
    const all = [...this.#pools.values()]
    this.#pools.clear()
    await Promise.all(all.map(({ pool, filled }) => pool.close().then(() => filled)))
  }
}
