import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatPlatform, matchPlatform, parsePlatform } from './platform.ts'

describe('a platform', () => {
  it.each([
    ['linux/amd64', 'linux/amd64'],
    ['linux/x86_64', 'linux/amd64'],
    ['linux/amd64/v1', 'linux/amd64'],
    ['linux/amd64/v3', 'linux/amd64/v3'],
    ['aarch64', 'linux/arm64'],
    ['linux/arm64/v8', 'linux/arm64'],
    ['linux/arm/v7', 'linux/arm'],
    ['linux/arm/v6', 'linux/arm/v6'],
    ['Linux/ARM64', 'linux/arm64'],
    // Names that every object knows are names like others.
    ['constructor', 'linux/constructor'],
    ['linux/__proto__/v1', 'linux/__proto__/v1'],
  ])('%s is %s', (text, normal) => {
    expect(formatPlatform(parsePlatform(text))).toBe(normal)
  })

  it.each(['', '/', 'linux/', 'a/b/c/d', 'linux/amd 64', `${'x'.repeat(65)}/y`])('%j is refused', (text) => {
    expect(() => parsePlatform(text)).toThrow(/is not os\/architecture/)
  })

  it.each([
    ['linux/arm/v7', ['linux/arm/v5', 'linux/arm/v7', 'linux/arm/v6'], 'linux/arm/v7'],
    ['linux/arm/v7', ['linux/arm/v5', 'linux/arm/v6', 'linux/arm64'], 'linux/arm/v6'],
    ['linux/arm/v6', ['linux/arm/v7', 'linux/arm64'], undefined],
    ['linux/amd64', ['linux/amd64/v3', 'linux/amd64/v2'], undefined],
    ['linux/amd64/v3', ['linux/amd64', 'linux/amd64/v2', 'linux/amd64/v4'], 'linux/amd64/v2'],
    ['linux/arm64', ['linux/arm64/v8'], 'linux/arm64/v8'],
    ['linux/arm64/v9', ['linux/arm64'], 'linux/arm64'],
    ['linux/riscv64', ['linux/riscv64'], 'linux/riscv64'],
    ['linux/amd64', ['windows/amd64'], undefined],
  ])('%s takes of %j: %s', (wanted, offered, taken) => {
    const best = offered
      .map((text) => ({ text, score: matchPlatform(parsePlatform(wanted), parsePlatform(text)) }))
      .filter(({ score }) => score !== undefined)
      .toSorted((a, b) => (b.score ?? 0) - (a.score ?? 0))
    expect(best[0]?.text).toBe(taken)
  })

  it('runs its own programs, and normalizing twice changes nothing', () => {
    const word = fc.stringMatching(/^[a-zA-Z0-9_.-]{1,10}$/)
    fc.assert(
      fc.property(fc.array(word, { minLength: 1, maxLength: 3 }), (words) => {
        const platform = parsePlatform(words.join('/'))
        expect(parsePlatform(formatPlatform(platform))).toEqual(platform)
        expect(matchPlatform(platform, platform)).toBe(1_000)
      }),
    )
  })
})
