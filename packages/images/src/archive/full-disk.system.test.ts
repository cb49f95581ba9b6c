import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parsePlatform } from '../registry/platform.ts'
import { openRegistry } from '../registry/open-registry.ts'
import { ScriptedRegistry, tarBytes, TestImage } from '../testing/index.ts'
import { openArchive, openLayout } from './open-archive.ts'

const missing = process.getuid?.() === 0 ? undefined : 'a small disk needs root to be mounted'
if (missing !== undefined) console.log(`skipped: images on a full disk: ${missing}`)

const { signal } = new AbortController()
const platform = parsePlatform('linux/amd64')

describe.skipIf(missing !== undefined)('on a disk that is too small', () => {
  let folder: string
  let disk: string
  let image: TestImage

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'cove-test-'))
    disk = join(folder, 'disk')
    mkdirSync(disk)
    execFileSync('/usr/bin/mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk])
    image = new TestImage({ layers: [randomBytes(3_000_000)], compression: 'none' })
  })
  afterAll(() => {
    image[Symbol.dispose]()
    execFileSync('/usr/bin/umount', [disk])
    rmSync(folder, { recursive: true, force: true })
  })

  test('a pull says so, keeps what it has, and goes on when there is room', async () => {
    await using server = await ScriptedRegistry.start(image)
    using registry = openRegistry({ retries: 2, backoffMs: 1 })
    await using source = await registry.resolve(`${server.host}/a`, platform, signal)
    const [layer = bad()] = source.layers
    const file = join(disk, 'layer')
    await expect(source.fetchLayer(layer, file, { signal })).rejects.toMatchObject({ code: 'no-space' })
    expect(existsSync(file)).toBe(false)
    expect(statSync(`${file}.part`).size).toBeGreaterThan(500_000)
    execFileSync('/usr/bin/mount', ['-o', 'remount,size=8m', disk])
    await source.fetchLayer(layer, file, { signal })
    execFileSync('/usr/bin/rm', [`${disk}/layer`])
    execFileSync('/usr/bin/mount', ['-o', 'remount,size=1m', disk])
    expect(server.asked.at(-1)?.headers.range).toMatch(/^bytes=[5-9]\d{5,6}-$|^bytes=1\d{6}-$/)
  })

  test('a layout says so', async () => {
    await using source = await openLayout(image.folder, { platform })
    const fetched = source.fetchLayer(source.layers[0] ?? bad(), join(disk, 'copy'), { signal })
    await expect(fetched).rejects.toMatchObject({ code: 'no-space' })
    rmSync(join(disk, 'copy.part'), { force: true })
  })

  test('an archive says so, and leaves nothing', async () => {
    const archive = tarBytes([{ name: 'x/layer.tar', content: readFileSync(image.blob(image.layerDigests[0] ?? '')) }])
    const opened = openArchive(Readable.from([archive]), { platform, scratch: disk, signal })
    await expect(opened).rejects.toMatchObject({ code: 'no-space' })
    expect(readdirSync(disk)).toEqual([])
    writeFileSync(join(disk, 'room'), Buffer.alloc(900_000))
    rmSync(join(disk, 'room'))
  })
})

function bad(): never {
  throw new Error('the image has no layer')
}
