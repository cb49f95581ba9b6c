import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { importGraph } from './support/import-graph.ts'

const PACKAGES = join(import.meta.dirname, '../packages')
const at = (path: string): string => join(PACKAGES, path)

describe('what is loaded before anything happens', () => {
  it.each(['run', 'exec', 'ls', 'rm'])('is little for cove %s: no daemon, no driver, no other library', (command) => {
    const entries = [at('cli/src/start.ts'), at(`cli/src/commands/${command}.ts`), at('cli/src/client.ts')]
    const { files, packages } = importGraph(entries, 'node')
    const rooms = new Set([...files].map((file) => /packages\/([^/]+)\//.exec(file)?.[1]))
    expect(rooms).toEqual(new Set(['api', 'cli', 'domain', 'sdk']))
    const others = [...packages].filter((name) => !name.startsWith('node:'))
    expect(others.toSorted()).toEqual(['@bufbuild/protobuf', 'commander'])
    // Each file costs about a third of a millisecond.
    expect(files.size).toBeLessThan(130)
  })

  it.each(['version', 'completion', 'context', 'init', 'complete'])(
    'is nothing but the command line for %s',
    (command) => {
      const { files } = importGraph([at('cli/src/start.ts'), at(`cli/src/commands/${command}.ts`)], 'node')
      const rooms = new Set([...files].map((file) => /packages\/([^/]+)\//.exec(file)?.[1]))
      expect(rooms).toEqual(new Set(['cli', 'domain']))
    },
  )

  it('is nothing of Node in the client for browsers', () => {
    const { packages } = importGraph([at('sdk/src/index.ts'), at('sdk/src/transfer/web.ts')], 'default')
    expect([...packages]).toEqual(['@bufbuild/protobuf'])
    // The same look at the client for Node finds some, so it would find them here.
    expect(importGraph([at('sdk/src/index.ts')], 'node').packages).toContain('node:http')
  })
})
