import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { randomId } from '@cove/domain'
import { systemRandom } from '@cove/domain/system'
import { openRuntimeDir, removeRuntimeDir } from './runtime-dir.ts'

describe('the runtime directory', () => {
  let dataDir: string
  let path: string | undefined
  const installation = randomId(systemRandom)
  beforeEach(() => {
    dataDir = mkdtempSync(join(tmpdir(), 'cove-test-run-'))
  })
  afterEach(async () => {
    if (path !== undefined) await removeRuntimeDir(dataDir, path)
    path = undefined
    rmSync(dataDir, { recursive: true, force: true })
  })

  it('is private, the same for every daemon of this boot, and gone when it is removed', async () => {
    path = await openRuntimeDir(dataDir, installation)
    expect(statSync(path).mode & 0o777).toBe(0o700)
    expect(await openRuntimeDir(dataDir, installation)).toBe(path)
    await removeRuntimeDir(dataDir, path)
    expect(existsSync(path)).toBe(false)
  })

  it('is chosen anew after a restart of the host', async () => {
    writeFileSync(join(dataDir, 'runtime-dir'), JSON.stringify({ path: '/gone', bootId: 'another' }))
    path = await openRuntimeDir(dataDir, installation)
    expect(path).not.toBe('/gone')
  })

  it('is made again when only it was lost', async () => {
    path = await openRuntimeDir(dataDir, installation)
    rmSync(path, { recursive: true })
    expect(await openRuntimeDir(dataDir, installation)).toBe(path)
    expect(existsSync(path)).toBe(true)
  })

  it('is refused when others can look into it', async () => {
    const open = join(dataDir, 'open')
    mkdirSync(open)
    chmodSync(open, 0o755)
    const bootId = (await import('./daemon-file.ts')).bootId()
    writeFileSync(join(dataDir, 'runtime-dir'), JSON.stringify({ path: open, bootId }))
    await expect(openRuntimeDir(dataDir, installation)).rejects.toMatchObject({ code: 'permission-denied' })
  })
})
