import { createHash } from 'node:crypto'
import { createWriteStream, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { describe, expect, it } from 'vitest'
import { copyTree } from './copy-tree.ts'
import { packLayer } from './pack-layer.ts'
import { PROGRAM, scratch, sh } from './testing/scratch.ts'
import { storedBytes, treeFacts, type EntryFacts } from './testing/tree-facts.ts'
import { unpackLayer } from './unpack-layer.ts'
import type { WrittenContent } from './written-content.ts'

const asRoot = process.getuid?.() === 0
if (!asRoot) console.log("skipped: overlays are only root's to mount")

/** What a machine finds, and what it does. */
const LOWER = `
mkdir -p lower/etc lower/usr/bin lower/gone/deep lower/replaced lower/kept
echo old > lower/etc/config; echo stays > lower/etc/other; echo gone > lower/gone/deep/file; echo below > lower/replaced/below
echo x > lower/usr/bin/tool; chmod 755 lower/usr/bin/tool; ln lower/usr/bin/tool lower/usr/bin/tool2; ln -s etc lower/link
chmod 1777 lower/kept`
const CHANGES = `
cd merged
echo new > etc/config
rm -r gone; rm -r replaced; mkdir replaced; echo above > replaced/above
rm link; ln -s nowhere link
mv usr/bin/tool usr/bin/moved
mkdir -p home/user; echo hi > home/user/a; ln home/user/a home/user/b; chown -R 1000:1000 home/user; chown -h 1000:1000 link
truncate -s 30M home/user/sparse; printf x | dd of=home/user/sparse bs=1 seek=15000000 conv=notrunc status=none
mknod dev c 1 5; mkfifo fifo; chmod 4711 home/user/b
setfattr -n user.note -v kept home/user; setfattr -n security.capability -v 0x0100000200040000000000000000000000000000 home/user/a
touch -h -d '2011-11-11 11:11:11.111111111' link home/user/a dev
touch kept/again; rm kept/again
python3 -c 'import socket; s = socket.socket(socket.AF_UNIX); s.bind("socket")' || true
cd ..`

/** Mounts an overlay of these folders, the first on top, and looks at it as a machine would. */
function shown(folder: string, lower: readonly string[]): Readonly<Record<string, EntryFacts>> {
  sh(folder, `mkdir -p shown; mount -t overlay -o ro,lowerdir=${lower.join(':')} overlay shown`)
  try {
    // Overlays that are mounted by root read one of the two marks and show the other.
    const text = JSON.stringify(treeFacts(join(folder, 'shown')))
    return JSON.parse(text.replaceAll(',"attributes":{"user.overlay.opaque":"0x79"}', ''))
  } finally {
    sh(folder, 'umount shown')
  }
}

function overlay(folder: string, change: string): void {
  sh(folder, 'mkdir upper work merged; mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work overlay merged')
  try {
    sh(folder, change)
  } finally {
    sh(folder, 'umount merged')
  }
}

async function pack(content: WrittenContent, file: string): Promise<string> {
  await pipeline(Readable.from(packLayer(PROGRAM, content)), createWriteStream(file))
  return createHash('sha256').update(readFileSync(file)).digest('hex')
}

const wholeOf = (path: string, idBase = 0): WrittenContent => ({ kind: 'upper', parts: [{ path, at: '/' }], idBase })

describe.runIf(asRoot)('what was written over a root', () => {
  it('shows the same over that root when it was packed and unpacked, and when it was copied', async () => {
    await using folder = scratch()
    sh(folder.path, LOWER)
    overlay(folder.path, CHANGES)
    const place = (name: string) => join(folder.path, name)
    const wanted = Object.fromEntries(
      Object.entries(shown(folder.path, ['upper', 'lower'])).filter(([path]) => path !== 'socket' && path !== '.'),
    )
    expect(wanted['etc/config']).toBeDefined()
    expect(wanted['replaced/below']).toBeUndefined()

    const digest = await pack(wholeOf(place('upper')), place('layer.tar'))
    const compressed = Readable.from([readFileSync(place('layer.tar'))])
    const unpacked = await unpackLayer(PROGRAM, { compressed, compression: 'none', into: place('unpacked') })
    expect(unpacked.diffId).toBe(`sha256:${digest}`)
    const { ['.']: _root, ...ofUnpacked } = shown(folder.path, ['unpacked', 'lower'])
    expect(ofUnpacked).toEqual(wanted)

    const copied = await copyTree(PROGRAM, { content: wholeOf(place('upper')), into: place('copied'), sync: true })
    const { ['.']: _other, ...ofCopied } = shown(folder.path, ['copied', 'lower'])
    expect(ofCopied).toEqual(wanted)
    expect(copied.skipped).toEqual({ owners: 0, devices: 0, attributes: 0 })
    for (const name of ['unpacked', 'copied']) {
      expect(storedBytes(place(`${name}/home/user/sparse`)), name).toBeLessThan(1_000_000)
    }
    // Where it is made of, whenever, and of whatever copy: the same bytes.
    expect(await pack(wholeOf(place('copied')), place('again.tar'))).toBe(digest)
    expect(await pack(wholeOf(place('unpacked')), place('third.tar'))).toBe(digest)
  })

  it('is an archive that GNU tar and umoci read', async () => {
    await using folder = scratch()
    sh(folder.path, 'mkdir lower')
    overlay(
      folder.path,
      `${CHANGES.split('rm -r gone')[0]?.replace('echo new > etc/config', '') ?? ''}
      cd ..; cd merged; mkdir -p home/user; echo hi > home/user/a; ln home/user/a home/user/b; ln -s a home/user/l; cd ..`,
    )
    sh(
      folder.path,
      `cd upper; name=$(printf 'n%.0s' $(seq 150)); mkdir $name; echo long > $name/$name; ln -s $name/$name $name/l
      truncate -s 20M sparse; printf x | dd of=sparse bs=1 seek=9000000 conv=notrunc status=none
      printf '\\303\\251' > 'é'; chown 3000000000:7 'é'; setfattr -n user.note -v 1 'é'`,
    )
    await pack(wholeOf(join(folder.path, 'upper')), join(folder.path, 'layer.tar'))
    const { ['.']: _root, ...wanted } = treeFacts(join(folder.path, 'upper'))
    sh(folder.path, 'mkdir out; tar --xattrs --xattrs-include=* --numeric-owner -xpf layer.tar -C out')
    const { ['.']: _out, ...byTar } = treeFacts(join(folder.path, 'out'))
    expect(byTar).toEqual(wanted)
    if (!existsSync('/usr/bin/umoci')) return
    sh(
      folder.path,
      `umoci init --layout image >&2; umoci new --image image:x >&2
      umoci raw add-layer --image image:x layer.tar >&2; umoci unpack --image image:x bundle >&2`,
    )
    const { ['.']: _bundle, ...byUmoci } = treeFacts(join(folder.path, 'bundle/rootfs'))
    expect(byUmoci).toEqual(wanted)
  })

  it('has the owners that it has inside, in attributes too', async () => {
    await using folder = scratch()
    const place = (name: string) => join(folder.path, name)
    sh(
      folder.path,
      `mkdir upper; cd upper; for id in 0 1000 65535; do touch f$id; chown $((100000 + id)):$((100000 + id)) f$id; done
      touch host; touch acl; chown 100000:100000 acl .
      setfattr -n security.capability -v 0x0100000300040000000000000000000000000000a0860100 f0
      setfattr -n system.posix_acl_access -v 0x0200000001000600ffffffff02000400a18a010004000400ffffffff10000400ffffffff20000400ffffffff acl`,
    )
    await copyTree(PROGRAM, { content: wholeOf(place('upper'), 100_000), into: place('copied') })
    const facts = treeFacts(place('copied'))
    expect(facts['f0']).toMatchObject({
      owner: '0:0',
      attributes: { 'security.capability': '0x0100000200040000000000000000000000000000' },
    })
    expect(facts['f1000']?.owner).toBe('1000:1000')
    expect(facts['f65535']?.owner).toBe('65535:65535')
    // What does not belong to the machine is nobody's inside.
    expect(facts['host']?.owner).toBe('65534:65534')
    expect(facts['acl']?.attributes?.['system.posix_acl_access']).toContain('0200040001040000')
    const digest = await pack(wholeOf(place('upper'), 100_000), place('a.tar'))
    expect(await pack(wholeOf(place('copied')), place('b.tar'))).toBe(digest)
  })

  it('puts several parts below their places, and says nothing of those without anything', async () => {
    await using folder = scratch()
    const place = (name: string) => join(folder.path, name)
    sh(folder.path, 'mkdir -p usr/bin etc empty; echo 1 > usr/bin/x; echo 2 > etc/y; chmod 711 usr')
    const content: WrittenContent = {
      kind: 'upper',
      parts: [
        { path: place('usr'), at: '/usr' },
        { path: place('etc'), at: '/etc' },
        { path: place('empty'), at: '/opt/empty' },
      ],
      idBase: 0,
    }
    await pack(content, place('layer.tar'))
    expect(sh(folder.path, 'tar -tf layer.tar').trim().split('\n')).toEqual([
      'etc/',
      'etc/y',
      'usr/',
      'usr/bin/',
      'usr/bin/x',
    ])
    const { entries } = await copyTree(PROGRAM, { content, into: place('copied') })
    expect(entries).toBe(5)
    expect(treeFacts(place('copied'))['usr']?.mode).toBe('711')
    await pack(wholeOf(place('empty')), place('none.tar'))
    expect(statSync(place('none.tar')).size).toBe(1_024)
  })

  it('follows no link out of what it packs', async () => {
    await using folder = scratch()
    const place = (name: string) => join(folder.path, name)
    sh(
      folder.path,
      'mkdir upper outside; echo secret > outside/secret; ln -s ../outside upper/l; ln -s ../outside/secret upper/s',
    )
    await pack(wholeOf(place('upper')), place('layer.tar'))
    expect(readFileSync(place('layer.tar'), 'latin1')).not.toContain('secret\n')
    await copyTree(PROGRAM, { content: wholeOf(place('upper')), into: place('copied') })
    expect(treeFacts(place('copied'))['l']).toMatchObject({ kind: '120000', content: '../outside' })
  })

  it('survives a tree that changes while it is read', async () => {
    await using folder = scratch()
    const place = (name: string) => join(folder.path, name)
    mkdirSync(place('upper'))
    for (let at = 0; at < 300; at += 1) writeFileSync(place(`upper/f${at}`), Buffer.alloc(200_000, at))
    let packed = 0
    for await (const chunk of packLayer(PROGRAM, wholeOf(place('upper')))) {
      // The program waits with the first files in its hands, while the rest goes, shrinks, or becomes something else.
      if (packed === 0)
        sh(
          place('upper'),
          'for at in $(seq 100 199); do rm f$at; done; for at in $(seq 200 299); do : > f$at; done; rm f50; mkdir f50',
        )
      packed += chunk.length
    }
    expect(packed % 512).toBe(0)
  })

  it('is refused where a layer cannot say it', async () => {
    await using folder = scratch()
    const place = (name: string) => join(folder.path, name)
    sh(
      folder.path,
      `mkdir marked moved deep; touch marked/.wh.own; mkdir moved/d; setfattr -n trusted.overlay.redirect -v /x moved/d
      cd deep; for at in $(seq 1 300); do mkdir d; cd d; done`,
    )
    for (const name of ['marked', 'moved', 'deep']) {
      await expect(pack(wholeOf(place(name)), place('x.tar')), name).rejects.toMatchObject({ code: 'unsupported' })
    }
    await expect(copyTree(PROGRAM, { content: wholeOf(place('moved')), into: place('c') })).rejects.toMatchObject({
      code: 'unsupported',
      context: { path: 'd' },
    })
    expect(existsSync(place('c'))).toBe(false)
  })

  it('is gone again where the disk is full in the middle', async () => {
    await using folder = scratch()
    sh(
      folder.path,
      'mkdir disk upper; head -c 4000000 /dev/zero | tr "\\0" x > upper/large; mount -t tmpfs -o size=2m none disk',
    )
    try {
      const into = join(folder.path, 'disk/into')
      const copying = copyTree(PROGRAM, { content: wholeOf(join(folder.path, 'upper')), into })
      await expect(copying).rejects.toMatchObject({ code: 'no-space' })
      expect(existsSync(into)).toBe(false)
    } finally {
      sh(folder.path, 'umount disk')
    }
  })
})
