import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { procNames } from './proc-folder.ts'

let path: string
beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), 'cove-test-'))
})
afterEach(() => rmSync(path, { recursive: true, force: true }))

it('lists processes, and nothing that cannot be one', async () => {
  expect(await procNames(join(path, 'none'))).toEqual([])
  for (const name of ['web', 'a-1', '.trash', 'Not-A-Name']) mkdirSync(join(path, name))
  writeFileSync(join(path, '.DS_Store'), '')
  expect(await procNames(path)).toEqual(['a-1', 'web'])
})
