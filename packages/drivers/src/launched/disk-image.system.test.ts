import { execFileSync } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DiskImages, LAYER_FOLDERS } from './disk-image.ts'

const MiB = 1024 * 1024
const E2FSCK = '/usr/sbin/e2fsck'
const DEBUGFS = '/usr/sbin/debugfs'
const missing = [E2FSCK, DEBUGFS].every((path) => existsSync(path)) ? undefined : 'e2fsprogs is not installed'

describe.skipIf(missing !== undefined)(`new disks${missing === undefined ? '' : ` (skipped: ${missing})`}`, () => {
  let folder = ''
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'cove-test-'))
  })
  afterAll(() => rm(folder, { recursive: true }))

  it.each([
    ['plain', 64 * MiB],
    ['journaled', 16 * MiB],
    ['journaled', 64 * MiB + 4096],
    ['journaled', 8 * 1024 * MiB],
    ['journaled', 200_000 * MiB],
  ] as const)('are whole file systems with folders for the layers: %s of %i bytes', async (format, bytes) => {
    const images = await DiskImages.open(join(folder, 'images'), format)
    const image = join(folder, `${format}-${bytes}`)
    await images?.make(image, bytes)
    expect(statSync(image).size).toBe(bytes)
    // Sparse: most of it costs nothing.
    expect(statSync(image).blocks * 512).toBeLessThan(bytes / 8 + 2 * MiB)
    execFileSync(E2FSCK, ['-fn', image], { stdio: 'pipe' })
    const said = execFileSync(DEBUGFS, ['-R', 'ls -l /', image], { encoding: 'utf8', stdio: 'pipe' })
    for (const name of LAYER_FOLDERS) expect(said).toMatch(new RegExp(` 40755 .*${name}$`, 'm'))
    const facts = execFileSync(DEBUGFS, ['-R', 'stats -h', image], { encoding: 'utf8', stdio: 'pipe' })
    expect(facts.includes('has_journal')).toBe(format === 'journaled')
  })
})
