import { execFileSync } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { missingForStore, otherStore, quietly, StorePlace } from '../../test/test-store.ts'
import { tarBytes, TestImage } from '../testing/index.ts'

const missing =
  missingForStore() ??
  (existsSync('/usr/bin/mkfs.erofs') ? undefined : 'mkfs.erofs is not installed (package erofs-utils)') ??
  (existsSync('/sbin/mke2fs') ? undefined : 'mke2fs is not installed (package e2fsprogs)')
if (missing !== undefined) console.warn(`images as one file: skipped, ${missing}`)

const LAYERS = [
  tarBytes([
    { name: 'etc/', type: '5', mode: 0o755 },
    { name: 'etc/a', content: 'base' },
    { name: 'etc/b', content: 'base' },
    { name: 'dir/', type: '5', mode: 0o700 },
    { name: 'dir/hidden', content: 'base' },
  ]),
  tarBytes([
    { name: 'etc/', type: '5', mode: 0o755 },
    { name: 'etc/a', content: 'changed' },
    { name: 'etc/.wh.b' },
    { name: 'dir/', type: '5', mode: 0o700 },
    { name: 'dir/.wh..wh..opq' },
    { name: 'dir/shown', content: 'x' },
  ]),
]

describe.skipIf(missing !== undefined)('an image as one file', () => {
  it.each(['erofs', 'ext4'] as const)('is its whole root in %s, made once', async (format) => {
    await using place = new StorePlace()
    await using store = await place.open()
    using image = new TestImage({ layers: LAYERS })
    using lease = await store.fetch(`oci-layout:${image.folder}`, quietly())
    const { signal } = quietly()
    const [file, same] = await Promise.all([
      store.file(lease.info.id, format, signal),
      store.file(lease.info.id, format, signal),
    ])
    expect(same).toBe(file)
    expect(statSync(file).mode & 0o777).toBe(0o600)
    const script = 'mount -o ro,loop -t "$1" "$2" "$3" && cd "$3" && cat etc/a && ls etc dir && stat -c %a dir'
    const inside = [
      '--mount',
      '--propagation',
      'private',
      'sh',
      '-c',
      script,
      'sh',
      format,
      file,
      place.tree('mnt', {}),
    ]
    expect(execFileSync('unshare', inside).toString()).toBe('changeddir:\nshown\n\netc:\na\n700\n')
    await using other = await otherStore(place, 'other')
    using there = await other.store.fetch(`oci-layout:${image.folder}`, quietly())
    const theirs = await other.store.file(there.info.id, format, signal)
    // The other one has the times in it at which its files came to this disk.
    if (format === 'erofs') execFileSync('cmp', [file, theirs])
    const [listed] = await store.list()
    expect(listed?.bytes).toBeGreaterThan(lease.info.layers.reduce((sum, { bytes }) => sum + bytes, 0))
  })

  it('goes with its image, and is not made over the host', async () => {
    await using place = new StorePlace()
    await using store = await place.open()
    const { signal } = quietly()
    let id
    {
      using image = new TestImage({ layers: LAYERS })
      using lease = await store.fetch(`oci-layout:${image.folder}`, quietly())
      id = lease.info.id
      await store.file(id, 'erofs', signal)
    }
    await store.remove(id)
    expect(place.names('files')).toEqual([])
    using host = await store.commit({ ...quietly(), parent: 'host' })
    await expect(store.file(host.info.id, 'erofs', signal)).rejects.toMatchObject({ code: 'unsupported' })
  })
})
