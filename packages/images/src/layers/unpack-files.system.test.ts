import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, chownSync, copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseLayerReport } from './layer-report.ts'
import { removeTree } from './remove-tree.ts'
import { tarBytes, type Member } from './testing/tar-bytes.ts'
import { chunksOf, PROGRAM, scratch, sh } from './testing/scratch.ts'
import { treeFacts } from './testing/tree-facts.ts'
import { unpackFiles } from './unpack-files.ts'

const asRoot = process.getuid?.() === 0
if (!asRoot) console.log("skipped: owners are only root's to give")

const file = (name: string, content = 'new'): Member => ({ name, content })

const application = () =>
  chunksOf(tarBytes([{ name: './', type: '5', mode: 0o711 }, file('f'), { name: 'g', type: '1', link: 'f' }]))

describe.runIf(asRoot)('files that are put into an image', () => {
  it('keep the folders and links on their way as the layers below have them', async () => {
    await using folder = scratch()
    const place = (name: string) => join(folder.path, name)
    sh(
      folder.path,
      `mkdir -p low/usr/bin low/tmp low/srv/x top/srv low/opt/was top/opt
      ln -s usr/bin low/bin; ln -s /tmp low/usr/scratch; chmod 1777 low/tmp; chown 5:6 low/tmp; setfattr -n user.a -v 1 low/tmp
      touch -d '2001-01-01' low/tmp; touch low/usr/bin/tool
      chmod 700 low/srv/x; setfattr -n trusted.overlay.opaque -v y top/srv; mknod top/opt/was c 0 0`,
    )
    const tar = tarBytes([
      { name: './', type: '5', mode: 0o700 },
      file('bin/own'),
      file('usr/scratch/other'),
      file('srv/x/below-opaque'),
      file('opt/was/below-whiteout'),
      file('.wh.no-whiteout'),
    ])
    const { entries, implied } = await unpackFiles(PROGRAM, {
      tar: chunksOf(tar),
      into: place('into'),
      at: '/',
      owner: { uid: 1000, gid: 100 },
      over: [place('top'), place('low')],
    })
    expect(entries).toBe(6)
    expect(implied).toBeGreaterThan(0)
    const facts = treeFacts(place('into'))
    expect(facts['.']?.mode).toBe('755')
    expect(facts['bin']).toBeUndefined()
    expect(facts['usr/bin/own']).toMatchObject({ owner: '1000:100' })
    expect(facts['tmp']).toEqual(treeFacts(place('low'))['tmp'])
    expect(facts['tmp/other']).toBeDefined()
    // What the layer between hides is not taken from below it.
    expect(facts['srv/x']?.mode).toBe('755')
    expect(facts['opt/was']?.mode).toBe('755')
    expect(facts['.wh.no-whiteout']?.kind).toBe('100000')
  })

  it('go below the place that is told, which stays as it is', async () => {
    await using folder = scratch()
    const place = (name: string) => join(folder.path, name)
    sh(folder.path, 'mkdir -p low/srv/app; chmod 750 low/srv/app')
    await unpackFiles(PROGRAM, { tar: application(), into: place('a'), at: '/srv/app', over: [place('low')] })
    expect(treeFacts(place('a'))['srv/app']?.mode).toBe('750')
    expect(treeFacts(place('a'))['srv/app/g']?.sameAs).toBe('srv/app/f')
    await unpackFiles(PROGRAM, { tar: application(), into: place('b'), at: '/srv/app' })
    expect(treeFacts(place('b'))['srv/app']?.mode).toBe('711')
  })
})

describe.runIf(asRoot)('an ordinary user', () => {
  it('unpacks what needs no root, and is told of the rest', async () => {
    await using folder = scratch()
    const place = (name: string) => join(folder.path, name)
    chmodSync(folder.path, 0o755)
    copyFileSync(PROGRAM, place('cove-layers'))
    mkdirSync(place('into'))
    chownSync(place('into'), 12_345, 12_345)
    const archive = tarBytes([
      { name: 'shut/', type: '5', mode: 0o000 },
      {
        ...file('shut/inside'),
        uid: 0,
        mode: 0o4755,
        pax: { 'SCHILY.xattr.trusted.a': '1', 'SCHILY.xattr.user.a': '1' },
      },
      { name: 'shut/', type: '5', mode: 0o555 },
      file('shut/second'),
      { name: 'null', type: '3', major: 1, minor: 3 },
      { name: 'fifo', type: '6' },
      file('.wh.gone'),
      file('shut/.wh..wh..opq'),
    ])
    const asUser = ['--reuid=12345', '--regid=12345', '--clear-groups', place('cove-layers')]
    const run = spawnSync('setpriv', [...asUser, 'unpack', '--into', place('into')], { input: archive })
    expect(run.stderr.toString()).toBe('')
    const { skipped } = parseLayerReport(run.stdout.toString())
    expect(skipped).toMatchObject({ devices: 1, attributes: 1 })
    expect(skipped.owners).toBeGreaterThan(0)
    const facts = treeFacts(place('into'))
    expect(facts['shut']).toMatchObject({
      mode: '555',
      owner: '12345:12345',
      attributes: { 'user.overlay.opaque': '0x79' },
    })
    expect(facts['shut/inside']).toMatchObject({ mode: '4755', attributes: { 'user.a': '0x31' } })
    expect(facts['shut/second']).toBeDefined()
    expect(facts['null']).toBeUndefined()
    expect(facts['gone']).toMatchObject({ kind: '20000', content: '0' })
    execFileSync('setpriv', [...asUser, 'remove', place('into/shut')])
    expect(existsSync(place('into/shut'))).toBe(false)
  })
})

describe.runIf(asRoot)('a tree that is removed', () => {
  it('may be deeper than folders can be open, and leaves alone what its links lead to', async () => {
    await using folder = scratch()
    sh(
      folder.path,
      `mkdir tree outside; touch outside/kept; ln -s ../outside tree/l; cd tree
      for at in $(seq 1 450); do mkdir d; cd d; : > f; done`,
    )
    await removeTree(PROGRAM, join(folder.path, 'tree'))
    expect(existsSync(join(folder.path, 'tree'))).toBe(false)
    expect(existsSync(join(folder.path, 'outside/kept'))).toBe(true)
    await removeTree(PROGRAM, join(folder.path, 'tree'))
  })

  it('keeps what is mounted in it', async () => {
    await using folder = scratch()
    sh(folder.path, 'mkdir -p tree/a/mounted; mount -t tmpfs none tree/a/mounted; echo kept > tree/a/mounted/f')
    try {
      const run = spawnSync(PROGRAM, ['remove', join(folder.path, 'tree')])
      expect(run.status).toBe(1)
      expect(JSON.parse(run.stderr.toString())).toMatchObject({ code: 'io-error' })
      await expect(removeTree(PROGRAM, join(folder.path, 'tree'))).rejects.toMatchObject({ code: 'io-error' })
      expect(readFileSync(join(folder.path, 'tree/a/mounted/f'), 'utf8')).toBe('kept\n')
    } finally {
      sh(folder.path, 'umount tree/a/mounted')
    }
  })
})
