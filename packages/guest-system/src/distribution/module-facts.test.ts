import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { kernelModule } from '../../test/support/images.ts'
import { outcome } from '../../test/support/outcome.ts'
import { moduleFacts } from './module-facts.ts'

it('are what a module says of itself', () => {
  const module = kernelModule({ license: 'GPL', depends: 'virtio-ring,virtio', softdep: 'pre: crc32c a-b post: later' })
  expect(moduleFacts(module)).toEqual({ depends: ['virtio_ring', 'virtio'], before: ['crc32c', 'a_b'] })
})

it('may be few', () => {
  expect(moduleFacts(kernelModule({ depends: '', softdep: 'post: later' }))).toEqual({ depends: [], before: [] })
})

it('are not found in a file that is no module, and in a damaged one', async () => {
  const module = kernelModule({ depends: 'virtio' })
  expect(await outcome(() => moduleFacts(Buffer.from('no module')))).toBe('kernel-invalid')
  const change = fc.tuple(fc.nat(module.length - 1), fc.nat(255))
  await fc.assert(
    fc.asyncProperty(fc.array(change, { maxLength: 6 }), fc.nat(module.length), async (changes, length) => {
      const damaged = Buffer.from(module.subarray(0, length))
      for (const [at, byte] of changes) if (at < length) damaged[at] = byte
      expect(['done', 'kernel-invalid']).toContain(await outcome(() => moduleFacts(damaged)))
    }),
    { numRuns: 1_000 },
  )
})
