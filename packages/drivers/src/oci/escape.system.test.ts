import { describe } from 'vitest'
import { escapeStories } from '../../test/support/escape-stories.ts'
import { skipped } from '../../test/support/runtimes.ts'
import { createOciDriver } from './driver.ts'

for (const runtime of ['crun', 'runc'] as const) {
  const why = skipped(runtime)
  describe.skipIf(why !== undefined)(`${runtime}${why === undefined ? '' : ` (skipped: ${why})`}`, () => {
    escapeStories(runtime, (parts) => createOciDriver({ ...parts, runtime }))
  })
}
