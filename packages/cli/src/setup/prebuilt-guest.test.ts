import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { prebuiltGuest } from './prebuilt-guest.ts'

describe('the guest program of a released package', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'cove-test-prebuilt-'))
    mkdirSync(join(folder, 'linux-x64'))
    const programs = ['linux-x64/cove-guest', 'linux-x64/cove-layers', 'linux-x64/cove-boot']
    for (const name of programs) writeFileSync(join(folder, name), 'program', { mode: 0o644 })
    const sum = createHash('sha256').update('program').digest('hex')
    const lines = programs.map((name) => `${sum}  ${name}\n`)
    writeFileSync(join(folder, 'SHA256SUMS'), `${'0'.repeat(64)}  other\n${lines.join('')}`)
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  it('is used when it is the one that was packed, and made executable', async () => {
    expect(await prebuiltGuest(folder, 'linux-x64')).toBe(join(folder, 'linux-x64/cove-guest'))
    for (const name of ['cove-guest', 'cove-layers', 'cove-boot']) {
      expect(statSync(join(folder, 'linux-x64', name)).mode & 0o777).toBe(0o755)
    }
  })

  it.each(['cove-guest', 'cove-layers', 'cove-boot'])('is refused when %s was changed', async (name) => {
    writeFileSync(join(folder, 'linux-x64', name), 'another')
    await expect(prebuiltGuest(folder, 'linux-x64')).rejects.toMatchObject({
      code: 'io-error',
      message: expect.stringContaining('is damaged'),
      fix: expect.stringContaining('npm install'),
    })
  })

  it.each(['linux-x64/cove-guest', 'linux-x64/cove-layers', 'linux-x64/cove-boot', 'SHA256SUMS'])(
    'is refused when %s is missing',
    async (name) => {
      rmSync(join(folder, name))
      await expect(prebuiltGuest(folder, 'linux-x64')).rejects.toMatchObject({
        code: 'io-error',
        message: expect.stringContaining('incomplete'),
      })
    },
  )

  it.each(['linux-riscv64', 'darwin-arm64'])('is not there for %s, and that is said', async (machine) => {
    await expect(prebuiltGuest(folder, machine)).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringContaining(`no cove-guest for ${machine}`),
    })
  })
})
