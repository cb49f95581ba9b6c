import { hash as digest, timingSafeEqual } from 'node:crypto'
import type { Principal } from './principal.ts'

export interface KeyRing {
  /** Undefined for a token that no key made. Takes the same time for every wrong one. */
  verify(token: string): Promise<Principal | undefined>
  /** True for the id of a key that opens: what it made and signed is taken as long as that is so. */
  knows(key: string): boolean
}

export interface StoredKey extends Principal {
  /** As `hashKey` made it; the key itself is not kept. */
  readonly hash: string
}

/** SHA-256 in hexadecimal. Keys are random and long, so a slow hash would protect nothing. */
export function hashKey(key: string): string {
  return digest('sha256', key)
}

/**
 * The operator's key. Its id tells it from the one before it, so that what that one signed ends when it is replaced: 48
 * bits of the hash of 160 random ones say nothing about the key.
 */
export function operatorKey(key: string): StoredKey {
  const hash = hashKey(key)
  return { hash, key: `operator-${hash.slice(0, 12)}`, project: 'default', role: 'admin', operator: true }
}

/** A key ring over a fixed set of hashed keys. */
export function keyRing(keys: readonly StoredKey[]): KeyRing {
  const stored = keys.map(({ hash, ...principal }) => ({ hash: Buffer.from(hash, 'hex'), principal }))
  return {
    async verify(token) {
      const hash = digest('sha256', token, 'buffer')
      let found: Principal | undefined
      for (const one of stored) {
        if (one.hash.length === hash.length && timingSafeEqual(one.hash, hash)) found = one.principal
      }
      return found
    },
    knows: (key) => stored.some(({ principal }) => principal.key === key),
  }
}
