import { expect, test } from 'vitest'
import { hostPath } from './companion-paths.ts'

const mounts = [
  { source: '/home/me/code', target: '/work' },
  { source: '/data', target: '/work/data' },
]

test.each([
  ['/work', '/home/me/code'],
  ['/work/src/a', '/home/me/code/src/a'],
  ['/work/data/x', '/data/x'],
  ['/work/database', '/home/me/code/database'],
  ['/work/..x', '/home/me/code/..x'],
  ['/workshop', '/workshop'],
  ['/elsewhere', '/elsewhere'],
])('%s of a container is %s of this machine', (path, wanted) => {
  expect(hostPath(path, mounts)).toBe(wanted)
})
