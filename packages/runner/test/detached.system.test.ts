import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { eventually } from './support/bench.ts'

const BINARY = fileURLToPath(new URL('../../../build/cove-guest', import.meta.url))

describe('the launcher', () => {
  it('keeps nothing open that its starter had open', async () => {
    const state = mkdtempSync(join(tmpdir(), 'cove-test-'))
    try {
      const args = ['launcher', '--state', state, '--installation', 'test', '--instance', 'one', '--idle-ms', '1000']
      const child = spawn(BINARY, args, { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] })
      // Comes when every copy of the pipes is closed.
      await once(child, 'close')
      expect(existsSync(join(state, 'one.sock'))).toBe(true)
      await eventually(() => !existsSync(join(state, 'one.lock')) || undefined)
    } finally {
      rmSync(state, { recursive: true, force: true })
    }
  })
})
