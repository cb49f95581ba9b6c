import { existsSync } from 'node:fs'
import { describe } from 'vitest'
import { escapeStories } from '../../test/support/escape-stories.ts'
import { createOciDriver } from './driver.ts'

for (const runtime of ['crun', 'runc'] as const) {
  const installed = existsSync(`/usr/bin/${runtime}`) || existsSync(`/usr/sbin/${runtime}`)
  describe.skipIf(!installed)(`${runtime}${installed ? '' : ' (skipped: not installed)'}`, () => {
    escapeStories(runtime, (parts) => createOciDriver({ ...parts, runtime }))
  })
}
