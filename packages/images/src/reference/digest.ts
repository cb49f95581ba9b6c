import { createHash, type Hash } from 'node:crypto'

const DIGEST = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/

/** The two algorithms that the OCI image specification registers, and nothing else. */
export function isDigest(text: string): boolean {
  return DIGEST.test(text)
}

/** What computes digests of the kind of this one, which `isDigest` has accepted. */
export function hashFor(digest: string): Hash {
  return createHash(algorithmOf(digest))
}

export function algorithmOf(digest: string): 'sha256' | 'sha512' {
  return digest.startsWith('sha512:') ? 'sha512' : 'sha256'
}

export function digestOf(bytes: Uint8Array, algorithm: 'sha256' | 'sha512' = 'sha256'): string {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`
}
