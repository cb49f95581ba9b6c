import { CoveError } from '@cove/domain'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseImageConfig } from './image-config.ts'
import { parseManifest } from './manifest.ts'

const digest = `sha256:${'1'.repeat(64)}`
const descriptor = { mediaType: 'application/vnd.oci.image.config.v1+json', digest, size: 2 }
const platform = { os: 'linux', architecture: 'amd64' }

/** One value of a document, somewhere in it, becomes another. */
function damaged(document: object, path: readonly number[], value: unknown): Buffer {
  const copy = structuredClone(document)
  let at: Record<string, unknown> = copy as Record<string, unknown>
  for (const step of path) {
    const keys = Object.keys(at)
    const key = keys[step % Math.max(1, keys.length)] ?? ''
    const next = at[key]
    if (typeof next !== 'object' || next === null || step % 5 === 0) {
      at[key] = value
      break
    }
    at = next as Record<string, unknown>
  }
  return Buffer.from(JSON.stringify(copy))
}

function outcome(work: () => unknown): unknown {
  try {
    return work()
  } catch (error) {
    return error
  }
}

describe.each([
  [
    'a manifest',
    parseManifest,
    {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: descriptor,
      layers: [{ ...descriptor, mediaType: 'application/vnd.oci.image.layer.v1.tar' }],
    },
  ],
  [
    'an index',
    parseManifest,
    {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.index.v1+json',
      manifests: [{ ...descriptor, platform, annotations: { a: 'b' } }],
    },
  ],
  [
    'a configuration',
    parseImageConfig,
    {
      ...platform,
      config: { Env: ['A=b'], Cmd: ['x'], User: 'u', WorkingDir: '/' },
      rootfs: { type: 'layers', diff_ids: [digest] },
    },
  ],
] as const)('%s', (_what, parse: (bytes: Buffer) => unknown, document) => {
  it('that is right is read', () => {
    expect(outcome(() => parse(Buffer.from(JSON.stringify(document))))).not.toBeInstanceOf(Error)
  })

  it('with anything wrong is read or refused, and nothing else', () => {
    const path = fc.array(fc.nat(20), { minLength: 1, maxLength: 5 })
    fc.assert(
      fc.property(path, fc.jsonValue(), (steps, value) => {
        const result = outcome(() => parse(damaged(document, steps, value)))
        expect(!(result instanceof Error) || result instanceof CoveError).toBe(true)
      }),
      { numRuns: 500 },
    )
  })

  it('of random bytes is refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        expect(outcome(() => parse(Buffer.from(bytes)))).toBeInstanceOf(CoveError)
      }),
    )
  })
})
