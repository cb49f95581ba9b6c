import { expect, test } from 'vitest'
import type { HeldImage } from '../store/keep-image.ts'
import type { StoreParts } from '../store/parts.ts'
import { exportImage } from './export-image.ts'

test('an archive that nobody begins to read keeps no image', async () => {
  const { promise, resolve } = Promise.withResolvers<void>()
  const image = { [Symbol.dispose]: resolve } as HeldImage
  const { signal } = new AbortController()
  const request = { image, config: new Uint8Array(), format: 'oci', signal } as const
  const archive = exportImage({} as StoreParts, request, 1)
  // Timers of the product do not keep a process.
  const awake = setInterval(() => {}, 1_000)
  await promise
  clearInterval(awake)
  await expect(archive.next()).rejects.toMatchObject({ code: 'cancelled' })
})
