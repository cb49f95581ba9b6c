import { execFileSync } from 'node:child_process'
import { utimesSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { CommitRequest, ImageId, ImageStore } from '@cove/domain'
import { fileStream, inRoot, missingForStore, quietly, StorePlace } from '../../test/test-store.ts'

const missing = missingForStore()
if (missing !== undefined) console.warn(`image store: skipped, ${missing}`)

const NOBODY = `sha256:${'0'.repeat(64)}` as ImageId

function commit(store: ImageStore, request: Partial<CommitRequest> & Pick<CommitRequest, 'parent'>) {
  return store.commit({ ...quietly(), ...request })
}

/** What a machine wrote: an upper folder, with whiteouts. */
function written(place: StorePlace, name: string, files: Readonly<Record<string, string>>, gone: string[] = []) {
  const path = place.tree(name, files)
  for (const file of gone)
    execFileSync('sh', ['-c', 'mkdir -p "$(dirname "$1")"; mknod "$1" c 0 0', 'sh', `${path}/${file}`])
  return { kind: 'upper', parts: [{ path, at: '/' }], idBase: 0 } as const
}

describe.skipIf(missing !== undefined)('the image store', () => {
  it('makes an image of a tar archive, leases it, and knows it the next time', async () => {
    await using place = new StorePlace()
    await using store = await place.open()
    const source = `tar:${place.tar('root.tar', { 'etc/hello': 'world', 'bin/': '' })}`
    using first = await store.fetch(source, quietly())
    expect(await inRoot(place, first.root, 'cat etc/hello')).toBe('world')
    const done: string[] = []
    using again = await store.fetch(source, { ...quietly(), progress: ({ step }) => done.push(step) })
    expect(done.filter((step) => step.includes('pack'))).toEqual([])
    expect(again.info).toEqual(first.info)
    expect(again.root).toEqual(first.root)
    using leased = await store.lease(first.info.id)
    expect(leased.root).toEqual(first.root)
  })

  it.each(['gzip', 'zstd', 'xz', 'bzip2'])(
    'takes a tar archive compressed with %s for the same image',
    async (tool) => {
      await using place = new StorePlace()
      await using store = await place.open()
      const path = place.tar('root.tar', { 'etc/hello': 'world' })
      using plain = await store.fetch(`tar:${path}`, quietly())
      execFileSync('sh', ['-c', '"$1" -c "$2" > "$2.packed"', 'sh', tool, path])
      using packed = await store.fetch(`tar:${path}.packed`, quietly())
      expect(packed.info.id).toBe(plain.info.id)
      execFileSync('sh', ['-c', 'head -c 40 "$1.packed" > "$1.half"', 'sh', path])
      await expect(store.fetch(`tar:${path}.half`, quietly())).rejects.toMatchObject({ code: 'image-invalid' })
    },
  )

  it('reads an archive again that has changed, and not one that has not', async () => {
    await using place = new StorePlace()
    await using store = await place.open()
    const source = `tar:${place.tar('root.tar', { a: '1' })}`
    using first = await store.fetch(source, quietly())
    place.tar('root.tar', { a: '22' })
    utimesSync(`${place.folder}/root.tar`, 5, 5)
    using second = await store.fetch(source, quietly())
    expect(second.info.id).not.toBe(first.info.id)
    expect(await inRoot(place, second.root, 'cat a')).toBe('22')
    using refreshed = await store.fetch(source, { ...quietly(), refresh: true })
    expect(refreshed.info.id).toBe(second.info.id)
  })

  it('copies a directory, and sees each time what is in it', async () => {
    await using place = new StorePlace()
    await using store = await place.open()
    const path = place.tree('root', { 'etc/hello': 'world', lib: '-> usr/lib', 'usr/lib/x': 'y' })
    execFileSync('chown', ['1234:5678', `${path}/etc/hello`])
    using first = await store.fetch(`directory:${path}`, quietly())
    expect(await inRoot(place, first.root, 'stat -c %u:%g etc/hello; cat lib/x')).toBe('1234:5678\ny')
    writeFileSync(`${path}/etc/hello`, 'moon')
    using second = await store.fetch(`directory:${path}`, quietly())
    expect(await inRoot(place, second.root, 'cat etc/hello')).toBe('moon')
    expect(await inRoot(place, first.root, 'cat etc/hello')).toBe('world')
  })

  it('lays commit over commit, the last on top, with what they hide', async () => {
    await using place = new StorePlace()
    await using store = await place.open()
    using base = await store.fetch(`tar:${place.tar('r.tar', { 'etc/a': '1', 'etc/b': '1', 'etc/c': '1' })}`, quietly())
    let released = 0
    using second = await commit(store, {
      parent: base.info.id,
      content: written(place, 'one', { 'etc/a': '2', 'new/file': 'x' }, ['etc/b']),
      comment: 'first',
      released: () => released++,
    })
    expect(released).toBe(1)
    using third = await commit(store, {
      parent: second.info.id,
      content: written(place, 'two', { 'etc/a': '3' }, ['new']),
      defaults: { env: { A: 'b' }, workdir: '/etc', user: 'app', command: ['/bin/app', '-x'] },
    })
    const show = 'cd etc; for f in *; do echo $f=$(cat $f); done; ls -d ../new 2>/dev/null || echo gone'
    expect(await inRoot(place, second.root, show)).toBe('a=2\nc=1\n../new')
    expect(await inRoot(place, third.root, show)).toBe('a=3\nc=1\ngone')
    expect(third.root.kind === 'layers' && second.root.kind === 'layers' && third.root.lower.slice(1)).toEqual(
      second.root.kind === 'layers' ? second.root.lower : [],
    )
    expect(third.info).toMatchObject({
      base: 'scratch',
      defaults: { env: { A: 'b' }, workdir: '/etc', user: 'app', command: ['/bin/app', '-x'] },
    })
    expect(third.info.layers.map(({ diffId }) => diffId).slice(0, 2)).toEqual(
      second.info.layers.map(({ diffId }) => diffId),
    )
  })

  it('keeps the same content once, whoever commits it and when', async () => {
    await using place = new StorePlace()
    await using store = await place.open()
    const content = written(place, 'one', { 'etc/a': '2' })
    const requests = [1, 2, 3].map(() => commit(store, { parent: 'host', content, comment: 'same' }))
    const leases = await Promise.all(requests)
    expect(new Set(leases.map(({ info }) => info.id)).size).toBe(1)
    expect(place.names('l')).toHaveLength(1)
    expect(place.names('configs')).toHaveLength(1)
    expect(leases[0]?.root).toEqual({ kind: 'host', layers: [expect.stringMatching(/\/l\/\w+$/)] })
    using other = await commit(store, { parent: 'host', content, comment: 'same', defaults: { user: 'x' } })
    expect(other.info.id).not.toBe(leases[0]?.info.id)
    expect(place.names('l')).toHaveLength(1)
    for (const lease of leases) lease[Symbol.dispose]()
  })

  it('makes no layer of nothing', async () => {
    await using place = new StorePlace()
    await using store = await place.open()
    using empty = await commit(store, { parent: 'scratch', content: written(place, 'none', {}) })
    expect(empty.info.layers).toEqual([])
    expect(await inRoot(place, empty.root, 'ls -A')).toBe('')
    using host = await commit(store, { parent: 'host' })
    expect(host.root).toEqual({ kind: 'host', layers: [] })
    expect(host.info.base).toBe('host')
  })

  it('puts files where they belong, with the owner that was asked for', async () => {
    await using place = new StorePlace()
    await using store = await place.open()
    const root = place.tree('root', { 'srv/old': '1', 'usr/lib/': '', lib: '-> usr/lib', 'home/app/': '' })
    execFileSync('sh', ['-c', 'chown 7:8 "$1/home/app"; chmod 700 "$1/home/app"', 'sh', root])
    using base = await store.fetch(`directory:${root}`, quietly())
    const tar = (files: Record<string, string>, name: string) => fileStream(place.tar(name, files))
    using one = await commit(store, {
      parent: base.info.id,
      content: {
        kind: 'files',
        tar: tar({ f: 'x' }, 'a.tar'),
        at: '/home/app',
        owner: { uid: 7, gid: 8 },
      },
    })
    const show = 'stat -c "%u:%g %a" home/app; cat home/app/f; stat -c %u home/app/f'
    expect(await inRoot(place, one.root, show)).toBe('7:8 700\nx7')
    using two = await commit(store, {
      parent: one.info.id,
      content: { kind: 'files', tar: tar({ new: 'n' }, 'b.tar'), at: '/lib/deep' },
    })
    expect(await inRoot(place, two.root, 'readlink lib; cat usr/lib/deep/new')).toBe('usr/lib\nn')
    const hiding = { kind: 'files', tar: tar({ '.wh.x': 'n' }, 'c.tar'), at: '/' } as const
    await expect(commit(store, { parent: one.info.id, content: hiding })).rejects.toMatchObject({ code: 'unsupported' })
    expect(place.names('l')).toHaveLength(3)
  })

  it('keeps what is pinned, over restarts, and lets nobody remove what is needed', async () => {
    await using place = new StorePlace()
    const source = `tar:${place.tar('root.tar', { a: '1' })}`
    let id: ImageId
    {
      await using store = await place.open()
      using image = await store.fetch(source, quietly())
      id = image.info.id
      await expect(store.remove(id)).rejects.toMatchObject({ code: 'wrong-state' })
      await store.pin('template:x', id)
    }
    await using store = await place.open()
    expect(await store.collect(0)).toBe(0)
    await expect(store.remove(id)).rejects.toMatchObject({ code: 'wrong-state' })
    expect(await store.list()).toMatchObject([{ info: { id }, pins: ['template:x'], names: [source], inUse: false }])
    await store.unpin('template:x')
    await store.unpin('template:x')
    store.keep(() => [id])
    expect(await store.collect(0)).toBe(0)
    await using another = await reopened(place, store)
    expect(await another.collect(0)).toBeGreaterThan(0)
    expect(await another.list()).toEqual([])
    for (const folder of ['l', 'blobs', 'configs', 'files', 'work', 'trash']) expect(place.names(folder)).toEqual([])
    await another.remove(id)
    using again = await another.fetch(source, quietly())
    expect(again.info.id).toBe(id)
  })

  it('says that an image is not there', async () => {
    await using place = new StorePlace()
    await using store = await place.open()
    await expect(store.lease(NOBODY)).rejects.toMatchObject({ code: 'image-not-found' })
    await expect(store.pin('x', NOBODY)).rejects.toMatchObject({ code: 'image-not-found' })
    await expect(commit(store, { parent: NOBODY })).rejects.toMatchObject({ code: 'image-not-found' })
    await expect(store.fetch('tar:/nowhere.tar', quietly())).rejects.toMatchObject({ code: 'image-not-found' })
    await expect(store.fetch('host', quietly())).rejects.toMatchObject({ code: 'invalid-argument' })
  })
})

/** Asks nobody any more. */
async function reopened(place: StorePlace, store: ImageStore): Promise<ImageStore> {
  await store[Symbol.asyncDispose]()
  await expect(store.list()).rejects.toMatchObject({ code: 'store-closed' })
  return await place.open()
}
