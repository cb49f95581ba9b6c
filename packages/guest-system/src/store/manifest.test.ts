import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { outcome } from '../../test/support/outcome.ts'
import { manifestText, parseManifest, type Manifest } from './manifest.ts'

const digest = 'a'.repeat(64)
const MANIFEST: Manifest = {
  origin: 'distribution',
  version: '6.1.0-1-cloud-amd64',
  machine: 'x86_64',
  source: 'linux-image-6.1.0-1-cloud-amd64 6.1.1-1',
  recipe: digest,
  madeAt: 1_700_000_000_000,
  acpi: true,
  has: { ninep: false, virtiofs: true, vsock: true, smp: true },
  image: { name: 'image', digest, bytes: 7 },
  modules: [{ name: 'virtio.ko', digest, bytes: 3, when: ['net'] }],
}

it('is read as it was written', () => {
  expect(parseManifest(manifestText(MANIFEST))).toEqual(MANIFEST)
})

it.each(['../../etc/shadow', '.hidden', 'a/b', ''])('names no file outside, such as %j', async (name) => {
  const text = manifestText({ ...MANIFEST, image: { ...MANIFEST.image, name } })
  expect(await outcome(() => parseManifest(text))).toBe('kernel-invalid')
})

it('is refused when anything else is in its place', async () => {
  const value = fc.oneof(fc.constant(undefined), fc.jsonValue())
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...Object.keys(MANIFEST)), value, async (name, other) => {
      const text = JSON.stringify({ format: 1, ...MANIFEST, [name]: other })
      expect(['done', 'kernel-invalid']).toContain(await outcome(() => parseManifest(text)))
    }),
  )
  for (const text of ['', '{', '[]', 'null', '{"format":2}']) {
    expect(await outcome(() => parseManifest(text))).toBe('kernel-invalid')
  }
})
