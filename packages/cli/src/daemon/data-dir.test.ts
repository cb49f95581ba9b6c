import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemRandom } from '@cove/domain/system'
import { openDataDir } from './data-dir.ts'

describe('the data directory', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'cove-test-data-'))
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  it('is made private at the first start, with a key and an installation id that stay', async () => {
    const path = join(folder, 'new/data')
    const first = await openDataDir(path, systemRandom)
    expect(first.apiKey).toMatch(/^cove_[0-9a-f]{40}$/)
    expect(statSync(path).mode & 0o777).toBe(0o700)
    expect(statSync(first.keyFile).mode & 0o777).toBe(0o600)
    const second = await openDataDir(path, systemRandom)
    expect(second).toEqual(first)
    expect(readdirSync(path).toSorted()).toEqual(['api-key', 'installation'])
  })

  it('gives two first starts at once the same key', async () => {
    const path = join(folder, 'data')
    const opened = await Promise.all([openDataDir(path, systemRandom), openDataDir(path, systemRandom)])
    expect(opened[0].apiKey).toBe(opened[1].apiKey)
    expect(opened[0].installation).toBe(opened[1].installation)
  })

  it('refuses a key file that it did not write, and leaves it alone', async () => {
    writeFileSync(join(folder, 'api-key'), 'secret of somebody else\n')
    await expect(openDataDir(folder, systemRandom)).rejects.toMatchObject({ code: 'config-invalid' })
    await expect(openDataDir(folder, systemRandom)).rejects.not.toThrow('somebody else')
    expect(readFileSync(join(folder, 'api-key'), 'utf8')).toBe('secret of somebody else\n')
  })

  it('says what to do when it cannot be made', async () => {
    writeFileSync(join(folder, 'file'), '')
    for (const path of [join(folder, 'file/data'), '/proc/cove/data']) {
      await expect(openDataDir(path, systemRandom)).rejects.toMatchObject({
        code: 'io-error',
        fix: expect.stringContaining('--data-dir'),
      })
    }
  })
})
