import type { Random } from '@cove/domain'

const POOL_BYTES = 4096

/** Asks the source for much at a time: a call for 16 bytes costs nearly as much as one for 4 KiB. */
export function pooledRandom(source: Random): Random {
  let pool = new Uint8Array(0)
  return {
    bytes(count) {
      if (count > POOL_BYTES / 4) return source.bytes(count)
      if (pool.length < count) pool = new Uint8Array(source.bytes(POOL_BYTES))
      const bytes = pool.slice(0, count)
      // What was given out is not kept.
      pool.fill(0, 0, count)
      pool = pool.subarray(count)
      return bytes
    },
  }
}
