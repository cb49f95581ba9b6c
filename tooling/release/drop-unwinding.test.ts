import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { expect, it } from 'vitest'
import { dropUnwinding } from './drop-unwinding.ts'

const PROGRAM = join(import.meta.dirname, '../../build/cove-layers')

it('leaves a program that runs, and is smaller packed', () => {
  const whole = readFileSync(PROGRAM)
  const less = dropUnwinding(whole)
  expect(less.length).toBe(whole.length)
  expect(gzipSync(less).length).toBeLessThan(gzipSync(whole).length - 20_000)
  expect(dropUnwinding(less)).toEqual(less)
  const folder = mkdtempSync(join(tmpdir(), 'cove-test-'))
  try {
    const path = join(folder, 'program')
    writeFileSync(path, less)
    chmodSync(path, 0o755)
    expect(execFileSync(path, ['version'], { encoding: 'utf8' })).toMatch(/^\d+\.\d+\.\d+\n$/)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

it.each([
  ['nothing', Buffer.alloc(0)],
  ['a script', Buffer.from(`#!/bin/sh\n${'#'.repeat(100)}`)],
  ['a program that was cut', readFileSync(PROGRAM).subarray(0, 4096)],
])('refuses %s', (_name, bytes) => {
  expect(() => dropUnwinding(bytes)).toThrow(/not/)
})
