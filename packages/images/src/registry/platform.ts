import { CoveError, type Platform } from '@cove/domain'

const ARCHITECTURES: ReadonlyMap<string, string> = new Map([
  ['x86_64', 'amd64'],
  ['x86-64', 'amd64'],
  ['x64', 'amd64'],
  ['aarch64', 'arm64'],
  ['armhf', 'arm'],
  ['armel', 'arm'],
  ['ia32', '386'],
  ['i386', '386'],
  ['i686', '386'],
])

/** What an architecture means without a variant; for these, no variant and this one are the same. */
const DEFAULT_VARIANTS: ReadonlyMap<string, string> = new Map([
  ['amd64', 'v1'],
  ['arm64', 'v8'],
  ['arm', 'v7'],
])

const WORD = /^[A-Za-z0-9_.-]{1,64}$/

/** What programs of this host are built for. */
export function hostPlatform(): Platform {
  return normalizePlatform({ os: 'linux', architecture: process.arch })
}

/** Reads `linux/arm64`, `linux/arm/v7`, `arm64`. `invalid-argument` otherwise. */
export function parsePlatform(text: string): Platform {
  const parts = text.split('/')
  const [first = '', second, variant] = parts
  if (parts.length > 3 || !parts.every((part) => WORD.test(part))) {
    throw new CoveError(
      'invalid-argument',
      `platform ${JSON.stringify(text.slice(0, 100))} is not os/architecture[/variant]`,
      { field: 'platform' },
      { fix: 'Write, for example, linux/amd64 or linux/arm/v7.' },
    )
  }
  if (second === undefined) return normalizePlatform({ os: 'linux', architecture: first })
  return normalizePlatform({ os: first, architecture: second, ...(variant === undefined ? {} : { variant }) })
}

export function formatPlatform({ os, architecture, variant }: Platform): string {
  return variant === undefined ? `${os}/${architecture}` : `${os}/${architecture}/${variant}`
}

/** One way to write each: `x86_64` is `amd64`, and `arm64/v8` has no variant. */
export function normalizePlatform({ os, architecture, variant }: Platform): Platform {
  const lower = architecture.toLowerCase()
  const name = ARCHITECTURES.get(lower) ?? lower
  const own = variant?.toLowerCase() ?? (lower === 'armel' ? 'v6' : '')
  const known = own !== '' && own !== DEFAULT_VARIANTS.get(name)
  return { os: os.toLowerCase(), architecture: name, ...(known ? { variant: own } : {}) }
}

/**
 * How well programs for `offered` run where `wanted` does: the higher the better, undefined when they do not. Variants
 * are steps: `arm/v7` runs what was built for v6 and v5, and `amd64/v3` runs v2 and v1.
 */
export function matchPlatform(wanted: Platform, offered: Platform): number | undefined {
  const [want, offer] = [normalizePlatform(wanted), normalizePlatform(offered)]
  if (want.os !== offer.os || want.architecture !== offer.architecture) return undefined
  if (want.variant === offer.variant) return 1_000
  const [most, needed] = [step(want), step(offer)]
  return most === undefined || needed === undefined || needed > most ? undefined : needed
}

function step({ architecture, variant }: Platform): number | undefined {
  const digits = /^v(\d{1,2})(?:\.\d{1,2})?$/.exec(variant ?? DEFAULT_VARIANTS.get(architecture) ?? '')
  return digits === null ? undefined : Number(digits[1])
}
