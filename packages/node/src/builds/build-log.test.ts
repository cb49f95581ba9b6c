import { appendFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { BuildLog } from './build-log.ts'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cove-test-log-'))
})

afterEach(async () => {
  await rm(folder, { recursive: true })
})

it('ends with a note where it would become too long, and cuts no character', async () => {
  const log = await BuildLog.create(join(folder, 'a.log'), { bytes: 10 })
  await log.append('12345678é')
  await log.append('€')
  await log.append('more')
  const text = (await log.read(0, 1_000)).toString('utf8')
  expect(text).toBe('12345678é\n[the log is longer than 10 bytes; the rest is left out]\n')
  expect(log.size).toBe(Buffer.byteLength(text))
})

it('is read in whole characters', async () => {
  const log = await BuildLog.create(join(folder, 'a.log'))
  await log.append('ab€cd')
  expect((await log.read(0, 3)).toString('utf8')).toBe('ab')
  expect((await log.read(2, 3)).toString('utf8')).toBe('€')
  expect((await log.read(5, 99)).toString('utf8')).toBe('cd')
})

it('is there for the next daemon, with its steps, whatever was half written', async () => {
  const path = join(folder, 'a.log')
  const log = await BuildLog.create(path)
  await log.step(0, 'run a', false)
  await log.append('said\n')
  await log.step(1, 'run b', true)
  await appendFile(`${path}.steps`, '{"index":2,"te')
  const again = await BuildLog.load(path)
  expect(again.size).toBe(5)
  expect(again.steps).toEqual([
    { index: 0, text: 'run a', cached: false, at: 0 },
    { index: 1, text: 'run b', cached: true, at: 5 },
  ])
})
