import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { memberBytes, tarBytes, type Member } from './testing/tar-bytes.ts'
import { chunksOf, PROGRAM, scratch, sh } from './testing/scratch.ts'
import { treeFacts, type EntryFacts } from './testing/tree-facts.ts'
import { unpackLayer, type UnpackLayerRequest } from './unpack-layer.ts'

const asRoot = process.getuid?.() === 0
if (!asRoot) console.log("skipped: devices and disks of a size are only root's to make")

type Outcome =
  | { readonly facts: Readonly<Record<string, EntryFacts>> }
  | { readonly code: string; readonly message: string }

/** Unpacks beside a file that nobody may touch; tells what came of it, and that nothing was left or changed outside. */
async function unpack(archive: Uint8Array, options: Partial<UnpackLayerRequest> = {}): Promise<Outcome> {
  await using folder = scratch()
  const into = join(folder.path, 'into')
  mkdirSync(join(folder.path, 'outside'))
  writeFileSync(join(folder.path, 'outside/precious'), 'untouched')
  try {
    await unpackLayer(PROGRAM, { compressed: chunksOf(archive), compression: 'none', into, ...options })
    return { facts: treeFacts(into) }
  } catch (thrown) {
    if (existsSync(into)) throw new Error('something is left of it', { cause: thrown })
    const { code, message } = thrown as { code: string; message: string }
    return { code, message }
  } finally {
    expect(readdirSync(join(folder.path, 'outside'))).toEqual(['precious'])
    expect(readFileSync(join(folder.path, 'outside/precious'), 'utf8')).toBe('untouched')
    expect(readdirSync(folder.path).filter((name) => name !== 'into')).toEqual(['outside'])
  }
}

const file = (name: string, content = 'evil'): Member => ({ name, content })
const link = (name: string, target: string): Member => ({ name, type: '2', link: target })
const folder = (name: string): Member => ({ name, type: '5', mode: 0o755 })

describe('a layer that was made to harm', () => {
  it.each([
    ['a name that goes up', [file('../outside/precious')], 'leaves the root'],
    ['a name that goes up later', [file('a/../../outside/precious')], 'leaves the root'],
    ['a folder that goes up', [folder('a/b/../../../outside')], 'leaves the root'],
    ['a long name that goes up', [{ ...file('x'), pax: { path: '../outside/precious' } }], 'leaves the root'],
    ['a hard link to above', [{ name: 'x', type: '1', link: '../outside/precious' }], 'leaves the root'],
    ['a hard link to what is not there', [{ name: 'x', type: '1', link: 'outside/precious' }], 'not there'],
    ['a hard link to a folder', [folder('a'), { name: 'x', type: '1', link: 'a' }], 'leads to a folder'],
    ['a hard link through a link', [link('l', '/outside'), { name: 'x', type: '1', link: 'l/precious' }], 'not there'],
    ['a file below a file', [file('a'), file('a/b')], 'no folder'],
    ['links that lead to each other', [link('a', 'b'), link('b', 'a'), file('a/x')], 'too many links'],
    ['a whiteout as a device', [{ name: 'x', type: '3' }], 'character device 0:0'],
    ['a whiteout without a name', [file('.wh.')], 'without a name'],
    ['a whiteout of what is above', [file('a/.wh...')], 'without a name'],
    ['a device with no possible number', [{ name: 'x', type: '4', major: 4096 }], 'numbers that no device has'],
    ['an entry of no known kind', [{ name: 'x', type: 'Z' }], 'unknown kind'],
    ['a name of 300 bytes', [{ ...file('x'), pax: { path: 'n'.repeat(300) } }], 'more than 255 bytes'],
    ['a path of 5,000 bytes', [{ ...file('x'), pax: { path: 'n/'.repeat(2_500) } }], 'more than 4095 bytes'],
    ['300 folders in each other', [{ ...file('x'), pax: { path: `${'n/'.repeat(300)}f` } }], 'more than 256 folders'],
    ['an owner that is none', [{ ...file('x'), pax: { uid: '4294967295' } }], 'no id'],
    ['a name with a NUL', [{ ...file('x'), pax: { path: 'a\0b' } }], 'cannot be read'],
    ['a link without a target', [link('x', '')], 'no target'],
    ['a header with the wrong sum', [{ ...file('x'), checksum: '000000\0 ' }], 'checksum'],
    ['a size that is negative', [{ ...file('x'), size: '\xff'.repeat(12) }], 'no possible size'],
    ['a size that is no number', [{ ...file('x'), size: 'many' }], 'number in a header'],
    ['the root as a file', [file('.')], 'name of one'],
    ['a map of holes that overlaps', [holes('0,4,2,4', '8')], 'makes no sense'],
    ['a map of holes beyond the file', [holes('0,4,100,4', '50')], 'makes no sense'],
    ['holes in a form of the future', [{ ...file('x'), pax: { 'GNU.sparse.major': '2' } }], 'not known'],
  ] satisfies [string, Member[], string][])('is refused for %s', async (_, members, message) => {
    expect(await unpack(tarBytes(members))).toMatchObject({
      code: 'image-invalid',
      message: expect.stringContaining(message),
    })
  })

  it('is refused when it is cut off anywhere but between its entries', async () => {
    const whole = tarBytes([folder('a'), { ...file('a/f', 'x'.repeat(1_000)), pax: { mtime: '1.5' } }], { end: false })
    for (const length of [1, 511, 513, 1_024, 1_500, 2_048, 2_060, whole.length - 25]) {
      expect(await unpack(whole.subarray(0, length)), String(length)).toMatchObject({
        code: 'image-invalid',
        message: expect.stringContaining('ends in the middle'),
      })
    }
    // Some programs leave the end mark out, and the zeros that fill up the last block.
    for (const length of [whole.length, whole.length - 1, whole.length - 24]) {
      expect(await unpack(whole.subarray(0, length)), String(length)).toMatchObject({
        facts: { 'a/f': { content: expect.stringMatching(/^1000 /) } },
      })
    }
  })

  it('is refused when its compression is cut off or broken', async () => {
    const whole = gzipSync(tarBytes([file('f', 'x'.repeat(100_000))]))
    const broken = Buffer.from(whole)
    broken.fill(0, 60, 90)
    for (const bytes of [whole.subarray(0, -20), broken, Buffer.from('no gzip at all')]) {
      expect(await unpack(bytes, { compression: 'gzip' })).toMatchObject({
        code: 'image-invalid',
        message: expect.stringContaining('does not decompress'),
      })
    }
  })

  it('never writes through its links, wherever they lead', async () => {
    const names = treeOf(
      await unpack(
        tarBytes([
          link('absolute', '/outside'),
          link('up', '../../../../outside'),
          link('self', '.'),
          file('absolute/precious'),
          file('up/other'),
          file('self/third'),
          // A folder gives way to a link, and what follows goes where the link leads within the root.
          folder('d'),
          file('d/gone'),
          link('d', '../outside'),
          file('d/fourth'),
          // A file over a link replaces the link.
          link('precious', 'outside/precious'),
          file('precious', 'mine'),
        ]),
      ),
    )
    expect(Object.keys(names).toSorted()).toEqual([
      '.',
      'absolute',
      'd',
      'outside',
      'outside/fourth',
      'outside/other',
      'outside/precious',
      'precious',
      'self',
      'third',
      'up',
    ])
    expect(names['absolute']).toMatchObject({ kind: '120000', content: '/outside' })
    expect(names['precious']).toMatchObject({ kind: '100000' })
  })

  it('puts absolute names below the root', async () => {
    expect(
      Object.keys(treeOf(await unpack(tarBytes([file('/etc/passwd'), link('/l', '/etc/passwd')])))).toSorted(),
    ).toEqual(['.', 'etc', 'etc/passwd', 'l'])
  })

  it('lets later entries replace earlier ones', async () => {
    const names = treeOf(
      await unpack(
        tarBytes([
          folder('a'),
          file('a/x'),
          file('a', 'file over folder'),
          file('b'),
          folder('b'),
          file('b/x'),
          link('c', 'b'),
          folder('c'),
          file('c/y'),
          file('d', 'first'),
          { name: 'e', type: '1', link: 'd' },
          file('d', 'second'),
          { ...folder('f'), mode: 0o700, pax: { 'SCHILY.xattr.user.old': '1' } },
          file('f/stays'),
          { ...folder('f'), mode: 0o711 },
          { name: 'd', type: '1', link: 'd' },
        ]),
      ),
    )
    expect(Object.keys(names).toSorted()).toEqual(['.', 'a', 'b', 'b/x', 'c', 'c/y', 'd', 'e', 'f', 'f/stays'])
    expect(names['a']?.kind).toBe('100000')
    expect(names['d']?.content).not.toBe(names['e']?.content)
    expect(names['f']).toMatchObject({ mode: '711' })
    expect(names['f']?.attributes).toBeUndefined()
  })

  it.runIf(asRoot)('cannot bring the marks of overlays itself', async () => {
    const marks = { 'SCHILY.xattr.trusted.overlay.opaque': 'y', 'SCHILY.xattr.user.overlay.redirect': '/etc' }
    const names = treeOf(await unpack(tarBytes([{ ...folder('a'), pax: { ...marks, 'SCHILY.xattr.user.own': '1' } }])))
    expect(names['a']?.attributes).toEqual({ 'user.own': '0x31' })
  })

  it.runIf(asRoot)('hides what is below it as the image specification says', async () => {
    const names = treeOf(
      await unpack(
        tarBytes([
          file('.wh.gone'),
          folder('a'),
          file('a/.wh..wh..opq'),
          file('a/new'),
          // Hidden and there again, in either order: it is there, and nothing below shows in it.
          file('.wh.b'),
          folder('b'),
          file('b/new'),
          folder('c'),
          file('c/new'),
          file('.wh.c'),
          file('.wh.d'),
          file('d'),
          file('e'),
          file('.wh.e'),
          file('.wh.f'),
          file('f/implied'),
          file('.wh..wh.plnk'),
          file('.wh..wh.aufs/x'),
        ]),
      ),
    )
    const opaque = { 'trusted.overlay.opaque': '0x79', 'user.overlay.opaque': '0x79' }
    expect(names['gone']).toMatchObject({ kind: '20000', content: '0' })
    for (const name of ['a', 'b', 'c', 'f'])
      expect(names[name], name).toMatchObject({ kind: '40000', attributes: opaque })
    for (const name of ['d', 'e', 'a/new', 'b/new', 'c/new', 'f/implied'])
      expect(names[name]?.kind, name).toBe('100000')
    expect(Object.keys(names).filter((name) => name.includes('.wh.'))).toEqual([])
  })

  it('is refused where it is larger than it may be', async () => {
    const many = tarBytes(Array.from({ length: 20 }, (_, at) => file(`f${at}`)))
    expect(await unpack(many, { limits: { entries: 19 } })).toMatchObject({
      code: 'image-invalid',
      message: expect.stringContaining('more than 19 entries'),
    })
    expect(await unpack(many, { limits: { entries: 20 } })).toHaveProperty('facts')
    const large = tarBytes([file('f', 'x'.repeat(5_000))])
    expect(await unpack(large, { limits: { fileBytes: 4_999 } })).toMatchObject({
      message: expect.stringContaining('4999'),
    })
    expect(await unpack(large, { limits: { bytes: 4_999 } })).toMatchObject({
      message: expect.stringContaining('4999'),
    })
  })

  it('is refused when it unpacks to far more than it was sent as', async () => {
    const zeros = gzipSync(Buffer.alloc(64 << 20))
    expect(zeros.length).toBeLessThan(100_000)
    // Zeros behind the end are not the program's to count.
    expect(await unpack(zeros, { compression: 'gzip', limits: { bytes: 1 << 20, entries: 10 } })).toMatchObject({
      code: 'image-invalid',
      message: expect.stringContaining('more than'),
    })
    const bomb = gzipSync(tarBytes([file('f', 'x'.repeat(8 << 20))]))
    expect(await unpack(bomb, { compression: 'gzip', limits: { bytes: 1 << 20 } })).toMatchObject({
      code: 'image-invalid',
      message: expect.stringContaining('more than 1048576 bytes'),
    })
    // A file of 8 EiB that is one hole.
    expect(await unpack(tarBytes([holes('', '9223372036854775807')]))).toMatchObject({ code: 'image-invalid' })
  })

  it.runIf(asRoot)(
    'may have 1,000,000 entries',
    async () => {
      await using place = scratch()
      // In memory, for a disk would be what is measured.
      sh(place.path, 'mkdir disk; mount -t tmpfs -o size=3g,nr_inodes=0 none disk')
      try {
        const into = join(place.path, 'disk/into')
        const { entries, bytes } = await unpackLayer(PROGRAM, { compressed: millionFiles(), compression: 'none', into })
        expect(entries).toBe(1_000_000)
        expect(bytes).toBe(9_000_000)
        expect(readdirSync(into)).toHaveLength(1_000)
        expect(readdirSync(join(into, 'd999'))).toHaveLength(1_000)
      } finally {
        sh(place.path, 'umount disk')
      }
    },
    300_000,
  )

  it.runIf(asRoot)('fills a disk and is gone again', async () => {
    await using place = scratch()
    sh(place.path, 'mkdir disk; mount -t tmpfs -o size=2m none disk')
    try {
      const into = join(place.path, 'disk/into')
      const archive = tarBytes([file('small'), file('f', 'x'.repeat(8 << 20))])
      const unpacking = unpackLayer(PROGRAM, { compressed: chunksOf(archive), compression: 'none', into })
      await expect(unpacking).rejects.toMatchObject({ code: 'no-space', context: { path: 'f' } })
      expect(readdirSync(join(place.path, 'disk'))).toEqual([])
    } finally {
      sh(place.path, 'umount disk')
    }
  })

  it('is gone again when whoever sends it fails, or whoever wants it goes away', async () => {
    await using place = scratch()
    const into = join(place.path, 'into')
    await expect(unpackLayer(PROGRAM, { compressed: failing(), compression: 'none', into })).rejects.toThrow(
      'went away',
    )
    expect(existsSync(into)).toBe(false)

    const abort = new AbortController()
    const stalled = async function* () {
      yield tarBytes([file('f')], { end: false })
      abort.abort()
      await once(new EventTarget(), 'never', { signal: abort.signal }).catch(() => {})
      yield Buffer.alloc(512)
    }
    const unpacking = unpackLayer(PROGRAM, { compressed: stalled(), compression: 'none', into, signal: abort.signal })
    await expect(unpacking).rejects.toMatchObject({ code: 'cancelled' })
    expect(existsSync(into)).toBe(false)
  })

  it('does not touch a folder that was there before', async () => {
    await using place = scratch()
    writeFileSync(join(place.path, 'mine'), '')
    const unpacking = unpackLayer(PROGRAM, {
      compressed: chunksOf(tarBytes([])),
      compression: 'none',
      into: place.path,
    })
    await expect(unpacking).rejects.toMatchObject({ code: 'io-error' })
    expect(readdirSync(place.path)).toEqual(['mine'])
  })
})

function holes(map: string, size: string): Member {
  const records = { 'GNU.sparse.map': map, 'GNU.sparse.size': size, 'GNU.sparse.name': 'holes' }
  return { name: 'x', content: map === '' ? '' : 'contents', pax: records }
}

function treeOf(outcome: Outcome): Readonly<Record<string, EntryFacts>> {
  if ('facts' in outcome) return outcome.facts
  throw new Error(outcome.message)
}

/** A thousand folders of a thousand empty files; headers differ in digits of the name alone, and so in their sums. */
function* files(): Generator<Uint8Array> {
  const zero = '0'.charCodeAt(0)
  const block = Buffer.concat(
    Array.from({ length: 1_000 }, (_, at) => memberBytes(file(`d000/f${String(at).padStart(3, '0')}`, ''))).flat(),
  )
  const sums = Array.from({ length: 1_000 }, (_, at) =>
    Number.parseInt(block.toString('latin1', at * 512 + 148, at * 512 + 154), 8),
  )
  for (let folderNumber = 0; folderNumber < 1_000; folderNumber += 1) {
    const digits = String(folderNumber).padStart(3, '0')
    const added = Buffer.from(digits).reduce((sum, byte) => sum + byte - zero, 0)
    const next = Buffer.from(block)
    sums.forEach((sum, at) => {
      next.write(digits, at * 512 + 1)
      next.write((sum + added).toString(8).padStart(6, '0'), at * 512 + 148)
    })
    yield next
  }
}

async function* failing(): AsyncGenerator<Uint8Array> {
  yield tarBytes([file('f')], { end: false })
  throw new Error('the registry went away')
}

async function* millionFiles(): AsyncGenerator<Uint8Array> {
  yield* files()
}

describe.skipIf(!asRoot)('what a layer hides', () => {
  it('does not lead it elsewhere, and describes none of its folders', async () => {
    await using place = scratch()
    const at = (name: string) => join(place.path, name)
    sh(
      place.path,
      `mkdir -p low/a/z low/b low/elsewhere && ln -s ../elsewhere low/a/l && ln -s /elsewhere low/b/l && chmod 700 low/a/z`,
    )
    const archive = tarBytes([
      folder('a'),
      file('a/.wh..wh..opq', ''),
      file('a/l/x', 'mine'),
      file('a/z/x', 'mine'),
      file('.wh.b', ''),
      file('b/l/x', 'mine'),
    ])
    await unpackLayer(PROGRAM, {
      compressed: chunksOf(archive),
      compression: 'none',
      into: at('into'),
      over: [at('low')],
    })
    expect(Object.keys(treeFacts(at('into'))).toSorted()).toEqual(
      ['.', 'a', 'a/l', 'a/l/x', 'a/z', 'a/z/x', 'b', 'b/l', 'b/l/x'].toSorted(),
    )
    expect(sh(place.path, 'stat -c %a into/a/z into/b')).toBe('755\n755\n')
  })
})
