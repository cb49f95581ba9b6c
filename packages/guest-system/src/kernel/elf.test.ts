import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { elfKernel } from '../../test/support/images.ts'
import { outcome } from '../../test/support/outcome.ts'
import { checkKernelImage } from './elf.ts'

const changed = (at: number, byte: number): Buffer => {
  const image = elfKernel()
  image[at] = byte
  return image
}

describe('an image', () => {
  it('is a kernel', () => {
    expect(() => checkKernelImage(elfKernel(), 'x86_64')).not.toThrow()
  })

  it.each<readonly [string, Buffer, RegExp, string]>([
    ['is empty', Buffer.alloc(0), /no ELF image/, 'x86_64'],
    ['is a text', Buffer.from('#!/bin/sh\n'.repeat(20)), /no ELF image/, 'x86_64'],
    ['is of a 32-bit machine', changed(4, 1), /64-bit/, 'x86_64'],
    ['is a library', changed(16, 3), /no executable/, 'x86_64'],
    ['is of another machine', changed(18, 183), /not for x86_64/, 'x86_64'],
    ['has nothing that is loaded', changed(64 + 56, 6), /nothing of it is loaded/, 'x86_64'],
    ['is an ordinary program', changed(64, 6), /no PVH entry/, 'x86_64'],
    ['is cut short', elfKernel('with more behind').subarray(0, -3), /cut short/, 'x86_64'],
    ['is not of arm64', elfKernel(), /no arm64 image/, 'aarch64'],
  ])('that %s is none', (_what, image, why, machine) => {
    expect(() => checkKernelImage(image, machine)).toThrow(why)
    expect(() => checkKernelImage(image, machine)).toThrow(expect.objectContaining({ code: 'kernel-invalid' }))
  })

  it('of arm64 begins with its own head', () => {
    const image = Buffer.alloc(128)
    image.write('ARM\x64', 0x38, 'latin1')
    expect(() => checkKernelImage(image, 'aarch64')).not.toThrow()
  })

  it('of any bytes is refused or taken, and never anything else', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 10 }), async (changes) => {
        const image = elfKernel('x'.repeat(200))
        for (const [at, byte] of changes) image[at % image.length] = byte
        expect(['done', 'kernel-invalid']).toContain(await outcome(() => checkKernelImage(image, 'x86_64')))
      }),
      { numRuns: 2_000 },
    )
  })
})
