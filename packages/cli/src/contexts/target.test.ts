import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { findTarget } from './target.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'cove-test-'))
  mkdirSync(join(folder, 'cove'))
  const contexts = {
    lab: { url: 'http://lab', key: 'cove_lab', project: 'research' },
    prod: { url: 'http://prod', key: 'cove_prod' },
  }
  writeFileSync(join(folder, 'cove/contexts.yaml'), JSON.stringify({ current: 'prod', contexts }))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const LAB = { url: 'http://lab', apiKey: 'cove_lab', project: 'research', context: 'lab' }
const PROD = { url: 'http://prod', apiKey: 'cove_prod', context: 'prod' }
const ALL = { COVE_URL: 'http://env', COVE_CONTEXT: 'lab', COVE_DATA_DIR: '/data' }

it.each([
  ['--url', { url: 'http://flag', context: 'lab' }, ALL, { url: 'http://flag', from: '--url' }],
  ['--context', { context: 'lab' }, ALL, LAB],
  ['--context local', { context: 'local' }, ALL, {}],
  ['COVE_URL', {}, ALL, { from: 'COVE_URL' }],
  ['COVE_CONTEXT', {}, { ...ALL, COVE_URL: '' }, LAB],
  ['COVE_DATA_DIR', {}, { COVE_DATA_DIR: '/data' }, {}],
  ['the current context', {}, {}, PROD],
  ['--project', { project: 'x' }, { COVE_PROJECT: 'y', COVE_CONTEXT: 'lab' }, { ...LAB, project: 'x' }],
  ['COVE_PROJECT', {}, { COVE_PROJECT: 'y' }, { ...PROD, project: 'y' }],
])('%s counts before what is behind it', async (_what, where, env, target) => {
  expect(await findTarget(where, { XDG_CONFIG_HOME: folder, ...env })).toEqual(target)
})

it('is the local one where there is nothing', async () => {
  expect(await findTarget({}, { XDG_CONFIG_HOME: join(folder, 'nowhere') })).toEqual({})
})
