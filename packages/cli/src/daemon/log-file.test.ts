import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { openLogFile } from './log-file.ts'

let folder: string
let path: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cove-test-log-'))
  path = join(folder, 'cove.log')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

it('adds to what is there, for its owner only', () => {
  using first = openLogFile(path)
  first.write('one\n')
  using second = openLogFile(path)
  second.write('two\n')
  expect(readFileSync(path, 'utf8')).toBe('one\ntwo\n')
  expect(statSync(path).mode & 0o777).toBe(0o600)
})

it('never takes more than twice its bound, and keeps the newest lines', () => {
  writeFileSync(path, 'old\n')
  using file = openLogFile(path, 100)
  for (let n = 0; n < 100; n++) file.write(`line ${n}\n`)
  expect(readdirSync(folder).toSorted()).toEqual(['cove.log', 'cove.log.1'])
  const [now, before] = [readFileSync(path, 'utf8'), readFileSync(`${path}.1`, 'utf8')]
  expect(Math.max(now.length, before.length)).toBeLessThanOrEqual(100)
  expect(before + now).toMatch(/^line \d+\n(line \d+\n)*line 99\n$/)
})

it('harms nobody when nothing can be written', () => {
  using file = openLogFile('/dev/full')
  expect(() => file.write('lost\n')).not.toThrow()
})

it('says at once that a file cannot be opened', () => {
  expect(() => openLogFile(join(folder, 'nowhere/cove.log'))).toThrow(
    expect.objectContaining({ code: 'io-error', fix: expect.stringContaining('--log-file') }),
  )
})
