import { createHash } from 'node:crypto'
import { createReadStream, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { PROGRAM, scratch, sh } from './testing/scratch.ts'
import { storedBytes, treeFacts, type EntryFacts } from './testing/tree-facts.ts'
import { unpackLayer } from './unpack-layer.ts'

const asRoot = process.getuid?.() === 0
if (!asRoot) console.log("skipped: owners and devices are only root's to make")

/** A bit of everything that a layer can have. */
const MAKE_TREE = `
mkdir -p tree/etc tree/usr/bin tree/var/empty tree/deep
cd tree
printf 'hello' > etc/hello
: > etc/nothing
head -c 300000 /dev/urandom > usr/bin/program; chmod 4755 usr/bin/program; chown 0:42 usr/bin/program; chmod 6755 usr/bin/program
ln usr/bin/program usr/bin/same
ln -s /etc/hello usr/bin/absolute
ln -s ../../nowhere usr/bin/dangling
ln usr/bin/dangling usr/bin/dangling-again
mkfifo var/fifo; mknod var/null c 1 3; mknod var/disk b 8 300; chmod 640 var/disk; chown 7:8 var/null
long=$(printf 'n%.0s' $(seq 200)); mkdir -p deep/$long/$long; echo long > deep/$long/$long/$long; ln -s $long/$long/$long deep/link-to-$long
printf 'x' > 'etc/é\\n "quoted"'
chown 1000:1000 etc/hello; chown -h 5:6 usr/bin/absolute; chown 3000000000:3000000001 etc/nothing
truncate -s 40M var/sparse; printf middle | dd of=var/sparse bs=1 seek=20000000 conv=notrunc status=none; printf end | dd of=var/sparse bs=1 seek=39999000 conv=notrunc status=none
truncate -s 3M var/hole
setfattr -n user.note -v 'a
b' etc/hello
setfattr -n user.binary -v 0x00ff0a3d etc
setfattr -n security.capability -v 0x0100000200040000000000000000000000000000 usr/bin/same
setfattr -h -n trusted.note -v kept usr/bin/absolute
chmod 1777 var/empty; chmod 0500 deep
touch -h -d '2001-02-03 04:05:06.123456789' usr/bin/absolute var/fifo
touch -d '1969-12-31 23:59:58.5' etc/nothing
touch -d '2033-01-01 00:00:00.000000001' var/empty etc/hello
touch -d '2015-05-05 05:05:05' usr usr/bin var etc .
`

describe.runIf(asRoot)('an unpacked layer', () => {
  it.each(['pax', 'gnu'])('has everything that GNU tar put into it in the form %s', async (format) => {
    await using folder = scratch()
    sh(folder.path, MAKE_TREE)
    // Nanoseconds and times before 1970 are in one of the forms only.
    if (format === 'gnu') sh(folder.path, "find tree -depth -print0 | xargs -0 touch -h -d '2015-05-05 05:05:05'")
    const options = format === 'pax' ? '--xattrs --xattrs-include=*' : ''
    sh(folder.path, `tar --format=${format} --sparse --numeric-owner ${options} -C tree -cf layer.tar .`)
    const into = join(folder.path, 'into')
    const file = join(folder.path, 'layer.tar')
    const unpacked = await unpackLayer(PROGRAM, { compressed: createReadStream(file), compression: 'none', into })
    const wanted = treeFacts(join(folder.path, 'tree'))
    expect(treeFacts(into)).toEqual(format === 'pax' ? wanted : withoutAttributes(wanted))
    expect(storedBytes(join(into, 'var/sparse'))).toBeLessThan(1_000_000)
    expect(storedBytes(join(into, 'var/hole'))).toBe(0)
    expect(unpacked.diffId).toBe(`sha256:${createHash('sha256').update(readFileSync(file)).digest('hex')}`)
    expect(unpacked.entries).toBe(Object.keys(wanted).length)
    expect(unpacked.skipped).toEqual({ owners: 0, devices: 0, attributes: 0 })
  })

  it.each(['0.0', '0.1', '1.0', 'old'])('keeps the holes of files with holes in the form %s', async (form) => {
    await using folder = scratch()
    // More pieces than one header tells of.
    sh(
      folder.path,
      `mkdir tree; truncate -s 50M tree/holes
      for at in $(seq 1 60); do printf "$at" | dd of=tree/holes bs=1 seek=$((at * 800000)) conv=notrunc status=none; done
      tar ${form === 'old' ? '--format=gnu' : `--format=pax --sparse-version=${form}`} --sparse -C tree -cf layer.tar .`,
    )
    const into = join(folder.path, 'into')
    const compressed = createReadStream(join(folder.path, 'layer.tar'))
    const { bytes } = await unpackLayer(PROGRAM, { compressed, compression: 'none', into })
    expect(treeFacts(into)['holes']).toMatchObject({ content: treeFacts(join(folder.path, 'tree'))['holes']?.content })
    expect(storedBytes(join(into, 'holes'))).toBeLessThan(1_000_000)
    expect(bytes).toBeLessThan(1_000_000)
  })

  it.each(['v7', 'ustar', 'oldgnu'])('reads the form %s', async (format) => {
    await using folder = scratch()
    sh(
      folder.path,
      `mkdir -p tree/a/b; echo x > tree/a/b/c; ln tree/a/b/c tree/a/d; ln -s c tree/a/b/l
      name=$(printf 'p%.0s' $(seq 90)); ${format === 'v7' ? ':' : 'mkdir -p tree/$name; echo y > tree/$name/$name'}
      find tree -depth -print0 | xargs -0 touch -h -d '2015-05-05 05:05:05'
      tar --format=${format} -C tree -cf layer.tar .`,
    )
    const into = join(folder.path, 'into')
    const compressed = createReadStream(join(folder.path, 'layer.tar'))
    await unpackLayer(PROGRAM, { compressed, compression: 'none', into })
    expect(treeFacts(into)).toEqual(treeFacts(join(folder.path, 'tree')))
  })

  it.each(['gzip', 'zstd'] as const)('is the same when it was compressed with %s, in parts', async (compression) => {
    await using folder = scratch()
    const tool = compression === 'gzip' ? 'gzip' : 'zstd -q'
    sh(
      folder.path,
      `mkdir tree; head -c 3000000 /dev/urandom > tree/f; tar -C tree -cf layer.tar .
      head -c 1000000 layer.tar | ${tool} -c > layer; tail -c +1000001 layer.tar | ${tool} -c >> layer`,
    )
    const into = join(folder.path, 'into')
    const said: number[] = []
    const { diffId } = await unpackLayer(PROGRAM, {
      compressed: createReadStream(join(folder.path, 'layer')),
      compression,
      into,
      sync: true,
      onBytes: (bytes) => said.push(bytes),
    })
    expect(diffId).toBe(`sha256:${sh(folder.path, 'sha256sum layer.tar').slice(0, 64)}`)
    expect(treeFacts(into)['f']?.content).toBe(treeFacts(join(folder.path, 'tree'))['f']?.content)
    expect(said.at(-1)).toBe(readFileSync(join(folder.path, 'layer')).length)
  })

  it.runIf(existsSync('/usr/bin/umoci'))('is what umoci makes of it', async () => {
    await using folder = scratch()
    sh(folder.path, MAKE_TREE)
    // umoci sets times of links in whole seconds of its own.
    sh(
      folder.path,
      `tar --format=pax --numeric-owner --xattrs --xattrs-include=* -C tree -cf layer.tar .
      umoci init --layout image >&2; umoci new --image image:x >&2; umoci raw add-layer --image image:x layer.tar >&2
      umoci unpack --image image:x bundle >&2`,
    )
    const into = join(folder.path, 'into')
    const compressed = createReadStream(join(folder.path, 'layer.tar'))
    await unpackLayer(PROGRAM, { compressed, compression: 'none', into })
    expect(treeFacts(into)).toEqual(treeFacts(join(folder.path, 'bundle/rootfs')))
  })
})

function withoutAttributes(facts: Readonly<Record<string, EntryFacts>>): Record<string, EntryFacts> {
  return Object.fromEntries(
    Object.entries(facts).map(([path, entry]) => {
      const { attributes, ...rest } = entry
      return [path, attributes === undefined ? entry : rest]
    }),
  )
}
