import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { GUEST_PROGRAM, isRoot } from './support/bench.ts'
import { type Story, tell } from './support/ordinary-user-story.ts'

const NOBODY = 65_534
const STORY = join(import.meta.dirname, 'support/ordinary-user-story.ts')

/** Told by this process when it is an ordinary user, else by one of another user. */
async function story(): Promise<Story> {
  if (!isRoot) return await tell()
  const who = ['--reuid', String(NOBODY), '--regid', String(NOBODY), '--clear-groups']
  const env = { PATH: '/usr/bin:/bin', COVE_TEST_GUEST: GUEST_PROGRAM, NODE_DISABLE_COMPILE_CACHE: '1' }
  const { stdout } = await promisify(execFile)('setpriv', [...who, process.execPath, STORY], { env })
  return JSON.parse(stdout) as Story
}

it.runIf(!isRoot || existsSync('/usr/bin/setpriv'))(
  'an ordinary user has the same, but for what needs root',
  async () => {
    const seen = await story()
    expect(seen.uid).not.toBe(0)
    expect(seen.inside).toBe('1000\n100\n')
    expect(seen.overlay).toBe('belowabove\n')
    expect(seen.lowerAfter).toBe('below')
    expect(seen.rangeRefused).toBe('permission-denied')
    expect(seen.cgroupRefused).toBe('limit-not-enforceable')
    expect(seen.cgroupProblems).toBe(1)
    expect(seen.adopted).toBe('running')
    expect(seen.treeLeft).toBe(0)
    expect(seen.left).toEqual([])
  },
)
