import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import {
  createReadStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parsePlatform } from '../registry/platform.ts'
import type { ImageSource } from '../registry/image-source.ts'
import { tarBytes, TestImage, type TarBytesEntry } from '../testing/index.ts'
import { openArchive, openLayout } from './open-archive.ts'

const SKOPEO = '/usr/bin/skopeo'
const missing = existsSync(SKOPEO) ? undefined : 'skopeo is not installed (package skopeo)'
if (missing !== undefined) console.log(`skipped: archives of real tools: ${missing}`)

const { signal } = new AbortController()
const platform = parsePlatform('linux/amd64')
const tars = [tarBytes([{ name: 'one', content: randomBytes(100_000) }]), tarBytes([{ name: 'two', content: 'two' }])]
const skopeo = (...args: string[]) => execFileSync(SKOPEO, ['--insecure-policy', ...args], { stdio: 'pipe' })
const sha = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest('hex')

let folder: string
let scratch: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'cove-test-'))
  scratch = join(folder, 'scratch')
  mkdirSync(scratch)
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const open = (bytes: Buffer, more: object = {}) =>
  openArchive(Readable.from([bytes]), { platform, scratch, signal, ...more })

async function layersOf(source: ImageSource): Promise<Buffer[]> {
  const found: Buffer[] = []
  for (const layer of source.layers) {
    const file = join(folder, 'layer')
    await source.fetchLayer(layer, file, { signal })
    const bytes = readFileSync(file)
    expect(`sha256:${sha(bytes)}`).toBe(layer.digest)
    expect(bytes.length).toBe(layer.size)
    found.push(bytes)
    rmSync(file)
  }
  return found
}

function expectTars(found: readonly Buffer[]): void {
  expect(found.map(sha)).toEqual(tars.map(sha))
}

describe.skipIf(missing !== undefined)('an archive by skopeo', () => {
  test.each([
    ['oci-archive', 'named:1', 'named:1'],
    ['docker-archive', 'named:1', 'docker.io/library/named:1'],
  ])('of the kind %s', async (kind, name, full) => {
    using image = new TestImage({ layers: tars, compression: 'none', config: { Cmd: ['/x'] } })
    const file = join(folder, `${kind}.tar`)
    skopeo('copy', '--quiet', `oci:${image.folder}:${image.tag}`, `${kind}:${file}:${name}`)
    const seen: number[] = []
    const onBytes = (bytes: number) => seen.push(bytes)
    await using source = await openArchive(createReadStream(file), { platform, scratch, signal, onBytes })
    expect(source.name).toBe(kind === 'oci-archive' ? 'docker.io/library/named:1' : full)
    expect(source.parsed.defaults.command).toEqual(['/x'])
    expect(source.parsed.diffIds).toEqual(tars.map((tar) => `sha256:${sha(tar)}`))
    const found = await layersOf(source)
    if (kind === 'docker-archive') expectTars(found)
    expect(seen.at(-1)).toBe(readFileSync(file).length)
    // What it writes, it reads: the same image.
    await using again = await open(gzipSync(readFileSync(file)), { name: 'named:1' })
    expect(again.configDigest).toBe(source.configDigest)
  })
})

describe('an OCI layout', () => {
  test('is read where it lies', async () => {
    using image = new TestImage({ layers: tars, compression: 'none' })
    await using source = await openLayout(image.folder, { platform })
    expect(source.name).toBe('latest')
    expect(source.configDigest).toBe(image.configDigest)
    expectTars(await layersOf(source))
  })

  test('of several platforms gives the one that is asked for', async () => {
    const platforms = ['linux/amd64', 'linux/arm64'].map(parsePlatform)
    using image = new TestImage({ layers: tars, platforms })
    await using source = await openLayout(image.folder, { platform: parsePlatform('linux/arm64') })
    expect(source.parsed.platform).toEqual(platforms[1])
    await expect(openLayout(image.folder, { platform: parsePlatform('linux/ppc64le') })).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringContaining('linux/amd64, linux/arm64') as string,
    })
  })

  test('whose blobs are damaged, missing, or something else, is refused', async () => {
    using image = new TestImage({ layers: tars, compression: 'none' })
    const [first = '', second = ''] = image.layerDigests
    const bytes = readFileSync(image.blob(first))
    writeFileSync(image.blob(first), bytes.fill(1, 5_000, 6_000))
    rmSync(image.blob(second))
    await using source = await openLayout(image.folder, { platform })
    const fetches = source.layers.map((layer, at) => source.fetchLayer(layer, join(folder, `bad-${at}`), { signal }))
    const results = await Promise.allSettled(fetches)
    expect(results).toMatchObject([{ reason: { code: 'image-invalid' } }, { reason: { code: 'image-invalid' } }])
    expect(readdirSync(folder).filter((name) => name.startsWith('bad-'))).toEqual([])
    rmSync(image.blob(image.configDigest))
    execFileSync('/usr/bin/mkfifo', [image.blob(image.configDigest)])
    await expect(openLayout(image.folder, { platform })).rejects.toMatchObject({ code: 'image-invalid' })
    rmSync(image.blob(image.configDigest))
    symlinkSync('/etc/passwd', image.blob(image.configDigest))
    await expect(openLayout(image.folder, { platform })).rejects.toMatchObject({ code: 'image-invalid' })
    await expect(openLayout(join(folder, 'nowhere'), { platform })).rejects.toMatchObject({ code: 'image-invalid' })
  })
})

const config = (layers: readonly Uint8Array[], more: object = {}) =>
  JSON.stringify({
    os: 'linux',
    architecture: 'amd64',
    rootfs: { type: 'layers', diff_ids: layers.map((tar) => `sha256:${sha(tar)}`) },
    ...more,
  })

/** As `docker save` writes it: folders named by ids, layers that are there already as links. */
function saved(
  images: readonly { readonly tags: readonly string[]; readonly layers: readonly Uint8Array[] }[],
): Buffer {
  const entries: TarBytesEntry[] = []
  const kept = new Map<string, string>()
  const list = images.map(({ tags, layers }, image) => {
    const text = config(layers)
    entries.push({ name: `${sha(text)}.json`, content: text })
    const names = layers.map((tar, at) => {
      const name = `${image}${at}id/layer.tar`
      const before = kept.get(sha(tar))
      if (before === undefined) entries.push({ name, content: tar })
      else entries.push({ name, type: '2', linkName: `../${before}` })
      kept.set(sha(tar), before ?? name)
      return name
    })
    return { Config: `${sha(text)}.json`, RepoTags: tags.length === 0 ? null : tags, Layers: names }
  })
  return tarBytes([...entries, { name: 'manifest.json', content: JSON.stringify(list) }])
}

describe('what docker saves', () => {
  test('in the old form, with layers that are links', async () => {
    const [one = Buffer.alloc(0)] = tars
    await using source = await open(saved([{ tags: ['a:1'], layers: [...tars, one] }]))
    expect(source.name).toBe('docker.io/library/a:1')
    expect((await layersOf(source)).map(sha)).toEqual([...tars, one].map(sha))
  })

  test('in the new form, which is a layout too', async () => {
    using image = new TestImage({ layers: tars, compression: 'gzip', tag: 'docker.io/library/new:2' })
    const file = join(folder, 'new.tar')
    writeFileSync(join(image.folder, 'manifest.json'), '[{"Config":"not read","RepoTags":["new:2"],"Layers":[]}]')
    execFileSync('/usr/bin/tar', ['-C', image.folder, '-cf', file, '.'])
    await using source = await openArchive(createReadStream(file), { platform, scratch, signal, name: 'new:2' })
    expect(source.configDigest).toBe(image.configDigest)
    expect(source.name).toBe('docker.io/library/new:2')
    expect(await layersOf(source)).toHaveLength(2)
  })

  test('of several images gives the one that is named, or tells their names', async () => {
    const layers = tars.slice(0, 1)
    const bytes = saved([
      { tags: ['a:1', 'b/c:2'], layers },
      { tags: ['d:3'], layers: tars },
    ])
    await using source = await open(bytes, { name: 'docker.io/b/c:2' })
    expect(source.layers).toHaveLength(1)
    await using other = await open(bytes, { name: 'd:3' })
    expect(other.layers).toHaveLength(2)
    await expect(open(bytes)).rejects.toMatchObject({
      code: 'invalid-argument',
      message: 'the archive has several images: a:1, b/c:2, d:3',
    })
    await expect(open(bytes, { name: 'x' })).rejects.toMatchObject({
      code: 'image-not-found',
      context: { there: 'a:1, b/c:2, d:3' },
    })
  })

  test('without a name is called by its digest, and may be compressed', async () => {
    const bytes = saved([{ tags: [], layers: tars }])
    const frames = Buffer.concat([zstdCompressSync(bytes.subarray(0, 700)), zstdCompressSync(bytes.subarray(700))])
    for (const packed of [gzipSync(bytes), zstdCompressSync(bytes), frames]) {
      await using source = await open(packed)
      expect(source.name).toBe(source.configDigest)
      expectTars(await layersOf(source))
    }
  })
})

const manifest = (value: unknown): TarBytesEntry => ({ name: 'manifest.json', content: JSON.stringify(value) })

describe('a bad archive', () => {
  const good = saved([{ tags: ['a:1'], layers: tars }])
  const text = config([])

  test.each<[string, Buffer]>([
    ['of nothing', Buffer.alloc(0)],
    ['of five bytes', Buffer.from('hello')],
    ['of garbage', randomBytes(10_000)],
    ['of zeros', Buffer.alloc(10_240)],
    ['with nothing known in it', tarBytes([{ name: 'readme', content: 'x' }])],
    ['cut in the middle', good.subarray(0, good.length / 2)],
    ['that is gzip and then is not', Buffer.concat([gzipSync(good).subarray(0, 20_000), randomBytes(1_000)])],
    ['with a name that leads out', tarBytes([{ name: '../../etc/evil', content: 'x' }])],
    ['with an absolute name', tarBytes([{ name: '/etc/evil', content: 'x' }])],
    ['with a link to outside', tarBytes([{ name: 'a/layer.tar', type: '2', linkName: '../../x' }])],
    ['with an absolute link', tarBytes([{ name: 'a/layer.tar', type: '2', linkName: '/etc/passwd' }])],
    ['with a hard link to outside', tarBytes([{ name: 'a', type: '1', linkName: '../x' }])],
    [
      'with links in a circle',
      tarBytes([
        { name: 'manifest.json', type: '2', linkName: 'b' },
        { name: 'b', type: '2', linkName: 'manifest.json' },
      ]),
    ],
    ['with a wrong blob', tarBytes([{ name: `blobs/sha256/${'0'.repeat(64)}`, content: 'x' }])],
    [
      'with a name that is there twice',
      tarBytes([
        { name: 'a', content: 'x' },
        { name: 'a', content: 'y' },
      ]),
    ],
    ['with a manifest that is no list', tarBytes([manifest({})])],
    ['with no image', tarBytes([manifest([])])],
    ['without its configuration', tarBytes([manifest([{ Config: 'c', Layers: [] }])])],
    [
      'without a layer',
      tarBytes([{ name: 'c', content: config(tars) }, manifest([{ Config: 'c', Layers: ['l', 'm'] }])]),
    ],
    [
      'with a layer too many',
      tarBytes([{ name: 'c', content: text }, { name: 'l' }, manifest([{ Config: 'c', Layers: ['l'] }])]),
    ],
    ['with a manifest of 5 MB', tarBytes([{ name: 'manifest.json', content: Buffer.alloc(5_000_000, ' ') }])],
    ['with 11,000 files', tarBytes(Array.from({ length: 11_000 }, (_, at) => ({ name: String(at) })))],
  ])('%s', async (_what, bytes) => {
    await expect(open(bytes)).rejects.toMatchObject({ code: 'image-invalid' })
    expect(readdirSync(scratch)).toEqual([])
  })

  test('for another machine, packed by something else, or too large', async () => {
    const foreign = config([], { architecture: 's390x' })
    const bytes = tarBytes([{ name: 'c', content: foreign }, manifest([{ Config: 'c', Layers: [] }])])
    await expect(open(bytes)).rejects.toMatchObject({ code: 'unsupported' })
    await expect(open(Buffer.from('\xfd7zXZ\0 and so on', 'latin1'))).rejects.toMatchObject({ code: 'unsupported' })
    await expect(open(good, { maxBytes: 50_000 })).rejects.toMatchObject({ code: 'image-invalid' })
    const bomb = gzipSync(tarBytes([{ name: 'a', content: Buffer.alloc(20_000_000) }]))
    await expect(open(bomb, { maxBytes: 1_000_000 })).rejects.toMatchObject({ code: 'image-invalid' })
    expect(readdirSync(scratch)).toEqual([])
  })

  test('that stops coming can be given up', async () => {
    const given = new AbortController()
    const stalled = async function* () {
      yield good.subarray(0, 1_000)
      setImmediate(() => given.abort())
      await new Promise(() => undefined)
    }
    await expect(openArchive(stalled(), { platform, scratch, signal: given.signal })).rejects.toMatchObject({
      code: 'cancelled',
    })
    expect(readdirSync(scratch)).toEqual([])
  })
})
