import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { FetchProgress, ImageStore } from '@cove/domain'
import {
  counted,
  fileStream,
  inRoot,
  missingForStore,
  otherStore,
  quietly,
  StorePlace,
  writeStream,
} from '../../test/test-store.ts'
import type { LayerTool } from './layer-tool.ts'
import { missingForRegistry, tarBytes, TestImage, TestRegistry } from '../testing/index.ts'

const missing = missingForStore() ?? missingForRegistry()
if (missing !== undefined) console.warn(`pulls into the image store: skipped, ${missing}`)

const BASE = tarBytes([
  { name: 'etc/', type: '5', mode: 0o755 },
  { name: 'etc/a', content: 'base' },
  { name: 'etc/b', content: 'base' },
  { name: 'tmp/', type: '5', mode: 0o1777 },
  { name: 'lib', type: '2', linkName: 'usr/lib' },
  { name: 'usr/', type: '5', mode: 0o755 },
  { name: 'usr/lib/', type: '5', mode: 0o750 },
])
const CHANGE = tarBytes([
  { name: 'etc/', type: '5', mode: 0o755 },
  { name: 'etc/a', content: 'changed' },
  { name: 'etc/.wh.b' },
])
/** Names no folder on the way to its files. */
const BARE = tarBytes([
  { name: 'tmp/file', content: 'x' },
  { name: 'lib/thing', content: 'y' },
])
const SHOW = 'cat etc/a; ls etc; stat -c %a tmp usr/lib; cat tmp/file lib/thing; readlink lib'
const SHOWN = 'changeda\n1777\n750\nxyusr/lib'

describe.skipIf(missing !== undefined)('images from elsewhere', () => {
  it.each(['none', 'gzip', 'zstd'] as const)('are the same from everywhere, with layers of %s', async (compression) => {
    await using place = new StorePlace()
    await using store = await place.open()
    using image = new TestImage({ layers: [BASE, CHANGE, BARE], compression, config: { Cmd: ['/bin/sh'] } })
    await using registry = await TestRegistry.start()
    const reference = await registry.push(image.folder, image.tag, 'app:1')
    const archive = `${place.folder}/image.tar`
    execFileSync('skopeo', ['copy', '-q', `oci:${image.folder}:${image.tag}`, `oci-archive:${archive}`])
    using layout = await store.fetch(`oci-layout:${image.folder}:${image.tag}`, quietly())
    expect(await inRoot(place, layout.root, SHOW)).toBe(SHOWN)
    expect(layout.info).toMatchObject({ id: image.configDigest, defaults: { command: ['/bin/sh'] }, base: 'scratch' })
    using pulled = await store.fetch(`oci:${reference}`, quietly())
    expect(pulled.root).toEqual(layout.root)
    using archived = await store.fetch(`oci-archive:${archive}`, quietly())
    expect(archived.root).toEqual(layout.root)
    expect(await store.list()).toMatchObject([{ names: expect.arrayContaining([`oci:${reference}`]) }])
  })

  it('leave nothing on a disk that is full, which others may have to write to', async () => {
    await using place = new StorePlace()
    mkdirSync(place.state, { recursive: true })
    execFileSync('/usr/bin/mount', ['-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', place.state])
    try {
      await using store = await place.open()
      using image = new TestImage({ layers: [randomBytes(8_000_000)], compression: 'none' })
      await using registry = await TestRegistry.start()
      const reference = await registry.push(image.folder, image.tag, 'big:1')
      await expect(store.fetch(`oci:${reference}`, quietly())).rejects.toMatchObject({ code: 'no-space' })
      expect(place.names('blobs')).toEqual([])
    } finally {
      execFileSync('/usr/bin/umount', [place.state])
    }
  })

  it('are unpacked once for all who ask at the same time, who all see how far it is', async () => {
    await using place = new StorePlace()
    let unpacked = 0
    const counting = { layers: counted(() => unpacked++) }
    await using store = await place.open({}, counting)
    using one = new TestImage({ layers: [BASE, CHANGE] })
    using two = new TestImage({ layers: [BASE, BARE] })
    await using registry = await TestRegistry.start()
    const [first, second] = [
      `oci:${await registry.push(one.folder, one.tag, 'one:1')}`,
      `oci:${await registry.push(two.folder, two.tag, 'two:1')}`,
    ]
    const steps: FetchProgress[][] = [[], [], [], []]
    const leases = await Promise.all(
      [first, first, second, second].map((source, at) =>
        store.fetch(source, { ...quietly(), progress: (step) => steps[at]?.push(step) }),
      ),
    )
    expect(unpacked).toBe(3)
    for (const said of steps) {
      expect(said.at(-1)).toMatchObject({ step: 'unpacking layer 2 of 2' })
      expect(said.at(-1)?.bytes).toBe(said.at(-1)?.totalBytes)
    }
    for (const lease of leases) lease[Symbol.dispose]()
    const before = process.threadCpuUsage()
    for (let count = 0; count < 20; count++) {
      using again = await store.fetch(first, quietly())
      expect(again.info.id).toBe(one.configDigest)
    }
    const { user, system } = process.threadCpuUsage(before)
    expect((user + system) / 20).toBeLessThan(5_000)
    expect(unpacked).toBe(3)
  })

  it('are asked for without their registry once they are here, unless one wants to know', async () => {
    await using place = new StorePlace()
    await using store = await place.open({ registry: { retries: 0 } })
    using image = new TestImage({ layers: [BASE] })
    const registry = await TestRegistry.start()
    const source = `oci:${await registry.push(image.folder, image.tag, 'one:1')}`
    using first = await store.fetch(source, quietly())
    using newer = new TestImage({ layers: [BASE, CHANGE] })
    await registry.push(newer.folder, newer.tag, 'one:1')
    using still = await store.fetch(source, quietly())
    expect(still.info.id).toBe(first.info.id)
    using refreshed = await store.fetch(source, { ...quietly(), refresh: true })
    expect(refreshed.info.id).toBe(newer.configDigest)
    using now = await store.fetch(source, quietly())
    expect(now.info.id).toBe(newer.configDigest)
    await registry[Symbol.asyncDispose]()
    await expect(store.fetch(source, { ...quietly(), refresh: true })).rejects.toMatchObject({
      code: 'registry-unavailable',
    })
    using there = await store.fetch(source, quietly())
    expect(there.info.id).toBe(newer.configDigest)
  })

  it('are given up only when the last who wants them has left', async () => {
    await using place = new StorePlace()
    const held = Promise.withResolvers<void>()
    const reached = Promise.withResolvers<void>()
    const step = async (name: string) => {
      if (name !== 'unpack a layer') return
      reached.resolve()
      await held.promise
    }
    await using store = await place.open({}, { step })
    using image = new TestImage({ layers: [BASE] })
    const source = `oci-layout:${image.folder}`
    const [one, two] = [new AbortController(), new AbortController()]
    const [first, second] = [store.fetch(source, quietly(one.signal)), store.fetch(source, quietly(two.signal))]
    await reached.promise
    one.abort()
    await expect(first).rejects.toMatchObject({ code: 'cancelled' })
    held.resolve()
    using lease = await second
    expect(lease.info.id).toBe(image.configDigest)
  })

  it('leave nothing when they are given up, and the next one asks anew', async () => {
    await using place = new StorePlace()
    const held = Promise.withResolvers<void>()
    const reached = Promise.withResolvers<void>()
    const step = async (name: string) => {
      if (name !== 'record a layer') return
      reached.resolve()
      await held.promise
    }
    await using store = await place.open({}, { step })
    using image = new TestImage({ layers: [BASE, CHANGE] })
    const source = `oci-layout:${image.folder}`
    const stop = new AbortController()
    const given = store.fetch(source, quietly(stop.signal))
    await reached.promise
    stop.abort()
    const next = store.fetch(source, quietly())
    held.resolve()
    await expect(given).rejects.toMatchObject({ code: 'cancelled' })
    using lease = await next
    expect(await inRoot(place, lease.root, 'cat etc/a')).toBe('changed')
    expect(place.names('l')).toHaveLength(2)
  })

  it('are refused when their layers are not what they are made of, and what was there stays', async () => {
    await using place = new StorePlace()
    await using store = await place.open()
    using image = new TestImage({ layers: [BASE, CHANGE] })
    const [good = '', bad = ''] = image.layerDigests
    writeFileSync(image.blob(bad), readFileSync(image.blob(good)))
    await expect(store.fetch(`oci-layout:${image.folder}`, quietly())).rejects.toMatchObject({ code: 'image-invalid' })
    expect(await store.list()).toEqual([])
    expect(place.names('configs')).toEqual([])
    expect(place.names('work')).toEqual([])
    await store.collect(0)
    expect(place.names('l')).toEqual([])
  })

  it('are refused when a layer unpacks to another one, which is not kept', async () => {
    await using place = new StorePlace()
    const lying = {
      layers: (tool: LayerTool): LayerTool => ({
        ...tool,
        unpack: async (request) => {
          return { ...(await tool.unpack(request)), diffId: `sha256:${'0'.repeat(64)}` }
        },
      }),
    }
    await using store = await place.open({}, lying)
    using image = new TestImage({ layers: [BASE] })
    await expect(store.fetch(`oci-layout:${image.folder}`, quietly())).rejects.toMatchObject({ code: 'image-invalid' })
    for (const folder of ['l', 'blobs', 'configs', 'work']) expect(place.names(folder)).toEqual([])
  })

  it('are refused for another architecture, unless that is asked for', async () => {
    await using place = new StorePlace()
    await using store = await place.open()
    using image = new TestImage({ layers: [BASE], platforms: [{ os: 'linux', architecture: 's390x' }] })
    const source = `oci-layout:${image.folder}`
    await expect(store.fetch(source, quietly())).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringContaining('s390x'),
    })
    using other = await store.fetch(source, { ...quietly(), platform: 'linux/s390x' })
    expect(other.info.platform).toEqual({ os: 'linux', architecture: 's390x' })
    await expect(store.fetch(source, quietly())).rejects.toMatchObject({ code: 'unsupported' })
  })

  it('may not claim to lie over the programs of this host', async () => {
    await using place = new StorePlace()
    await using store = await place.open()
    using image = new TestImage({ layers: [BASE], config: { Labels: { 'dev.cove.base': 'host' } } })
    await using registry = await TestRegistry.start()
    const source = `oci:${await registry.push(image.folder, image.tag, 'one:1')}`
    await expect(store.fetch(source, quietly())).rejects.toMatchObject({ code: 'image-invalid' })
  })

  it('are taken with the same layer in them twice', async () => {
    await using place = new StorePlace()
    await using store = await place.open()
    using image = new TestImage({ layers: [BASE, CHANGE, BASE] })
    using lease = await store.fetch(`oci-layout:${image.folder}`, quietly())
    expect(lease.info.layers).toHaveLength(3)
    expect(place.names('l')).toHaveLength(2)
    expect(await inRoot(place, lease.root, 'cat etc/a etc/b')).toBe('basebase')
  })

  it('are refused when their configuration is larger than anything that is meant', async () => {
    await using place = new StorePlace()
    await using store = await place.open()
    const many = Array.from({ length: 3_000 }, (_, at) => `V${at}=x`)
    using image = new TestImage({ layers: [BASE], config: { Env: many } })
    await expect(store.fetch(`oci-layout:${image.folder}`, quietly())).rejects.toMatchObject({ code: 'image-invalid' })
    using deep = new TestImage({ layers: Array.from({ length: 128 }, (_, at) => tarBytes([{ name: `f${at}` }])) })
    await expect(store.fetch(`oci-layout:${deep.folder}`, quietly())).rejects.toMatchObject({ code: 'image-invalid' })
  })
})

describe.skipIf(missing !== undefined)('an image that is given away', () => {
  it.each(['gzip', 'zstd'] as const)('is the same image elsewhere, with layers of %s', async (compression) => {
    await using place = new StorePlace()
    await using store = await place.open()
    using image = new TestImage({ layers: [BASE, CHANGE, BARE], compression, config: { Env: ['A=b'] } })
    using lease = await store.fetch(`oci-layout:${image.folder}`, quietly())
    using grown = await store.commit({
      ...quietly(),
      parent: lease.info.id,
      content: { kind: 'upper', parts: [{ path: place.tree('up', { 'etc/new': 'n' }), at: '/' }], idBase: 0 },
    })
    for (const format of ['oci', 'docker'] as const) {
      const file = `${place.folder}/${format}.tar`
      const bytes = await writeStream(file, await store.export(grown.info.id, format, quietly().signal))
      expect(await writeStream(`${file}.2`, await store.export(grown.info.id, format, quietly().signal))).toBe(bytes)
      execFileSync('cmp', [file, `${file}.2`])
      const from = `${format}-archive:${file}`
      const config: unknown = JSON.parse(execFileSync('skopeo', ['inspect', '--config', from]).toString())
      expect(config).toMatchObject({ config: { Env: ['A=b'] } })
      // It knows no zstd.
      const readable = format === 'docker' || compression === 'gzip'
      expect(readable ? byUmoci(place, format, from) : UNPACKED).toBe(UNPACKED)
      await using other = await otherStore(place, format)
      using imported = await other.store.import(fileStream(file), quietly())
      expect(imported.info).toMatchObject({
        id: grown.info.id,
        layers: grown.info.layers.map(({ diffId }) => ({ diffId })),
      })
      expect(await inRoot(other.place, imported.root, SHOW)).toBe(SHOWN.replace('a\n', 'a\nnew\n'))
      using found = await store.fetch(from, quietly())
      expect(found.root).toEqual(grown.root)
    }
  })

  it('lies over the host there too when it does here', async () => {
    await using place = new StorePlace()
    await using store = await place.open()
    const content = {
      kind: 'upper',
      parts: [{ path: place.tree('up', { 'usr/bin/x': 'n' }), at: '/' }],
      idBase: 0,
    } as const
    using mine = await store.commit({ ...quietly(), parent: 'host', content })
    await using other = await otherStore(place, 'host')
    using imported = await other.store.import(await store.export(mine.info.id, 'oci', quietly().signal), quietly())
    expect(imported.info).toMatchObject({ id: mine.info.id, base: 'host' })
    expect(imported.root.kind).toBe('host')
  })

  it('stays while it is given away, and no longer', async () => {
    await using place = new StorePlace()
    await using store = await place.open()
    using image = new TestImage({ layers: [BASE] })
    const id = await fetched(store, image)
    const archive = await store.export(id, 'oci', quietly().signal)
    await expect(store.remove(id)).rejects.toMatchObject({ code: 'wrong-state' })
    for await (const _chunk of archive) break
    await store.remove(id)
    expect(await store.list()).toEqual([])
  })

  it('is refused as an import when it is none', async () => {
    await using place = new StorePlace()
    await using store = await place.open()
    await expect(store.import(nothing(), quietly())).rejects.toMatchObject({ code: 'image-invalid' })
    await expect(store.import(broken(), quietly())).rejects.toMatchObject({ code: 'cancelled' })
    expect(place.names('work')).toEqual([])
  })
})

async function fetched(store: ImageStore, image: TestImage) {
  using lease = await store.fetch(`oci-layout:${image.folder}`, quietly())
  return lease.info.id
}

async function* nothing() {
  await delay(1)
  yield tarBytes([{ name: 'x', content: 'y' }])
}

async function* broken() {
  await delay(1)
  yield tarBytes([{ name: 'x', content: 'y' }]).subarray(0, 700)
  throw Object.assign(new Error('the client went away'), { name: 'AbortError' })
}

const UNPACKED = 'changedna\nnew\n'

function byUmoci({ folder }: StorePlace, name: string, from: string): string {
  execFileSync('skopeo', ['copy', '-q', from, `oci:${folder}/${name}:x`])
  execFileSync('umoci', ['unpack', '--image', `${folder}/${name}:x`, `${folder}/${name}.bundle`])
  const script = 'cd "$1/rootfs"; cat etc/a etc/new; ls etc'
  return execFileSync('sh', ['-c', script, 'sh', `${folder}/${name}.bundle`]).toString()
}
