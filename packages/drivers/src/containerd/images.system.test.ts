import { setImmediate as turn } from 'node:timers/promises'
import { newMachineId, type ImageId } from '@cove/domain'
import { systemRandom } from '@cove/domain/system'
import { missingForContainerd, TestContainerd } from '@cove/containerd-engine/testing'
import type { Containerd } from '@cove/containerd-engine'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { StandInImages } from '../../test/support/containerd-rig.ts'
import { ociArchive, tarFile } from '../../test/support/oci-archive.ts'
import { codeOf } from '../conformance/index.ts'
import { Images } from './images.ts'

const missing = missingForContainerd()
const layer = (name: string, text: string) => Buffer.concat([...tarFile(name, Buffer.from(text)), Buffer.alloc(1024)])
const context = { signal: AbortSignal.timeout(60_000), progress: () => undefined }

describe.skipIf(missing !== undefined)(
  `images in containerd${missing === undefined ? '' : ` (skipped: ${missing})`}`,
  () => {
    let daemon: TestContainerd
    let containerd: Containerd
    const store = new StandInImages()
    beforeAll(async () => {
      daemon = await TestContainerd.start()
      containerd = daemon.open(`cove-${newMachineId(systemRandom)}`)
    })
    afterAll(async () => {
      containerd.close()
      await daemon[Symbol.asyncDispose]()
    })

    const open = async () => {
      const images = new Images(containerd, store, systemRandom)
      await images.open()
      return images
    }
    /** Everything but whole images. */
    const leftovers = async () => [
      ...(await containerd.content.list()).map(({ digest }) => digest),
      ...(await containerd.content.ingests()),
      ...(await containerd.snapshots.list()).filter(({ kind }) => kind !== 'committed').map(({ key }) => key),
      ...(await containerd.leases.list()).map(({ id }) => id).filter((id) => !id.startsWith('image-')),
    ]
    const committed = async () => (await containerd.snapshots.list()).filter(({ kind }) => kind === 'committed').length
    /** Removal follows the lease's by a moment. */
    const soonCommitted = async (count: number) => {
      for (let tries = 0; tries < 500 && (await committed()) !== count; tries++) await turn()
      expect(await committed()).toBe(count)
    }

    it('share layers, are there again later, and go when the store has them no more', async () => {
      const images = await open()
      const [base, one, two] = [layer('base', 'b'), layer('one', '1'), layer('two', '2')]
      const first = store.add(ociArchive([base, one]))
      const second = store.add(ociArchive([base, two]))
      using a = await images.hold(first, context)
      using b = await images.hold(second, context)
      expect(a.chain).not.toBe(b.chain)
      expect(await committed()).toBe(3)
      expect(await leftovers()).toEqual([])

      const exports = store.exports
      const later = await open()
      using again = await later.hold(first, context)
      expect([again.chain, store.exports]).toEqual([a.chain, exports])

      store.archives.delete(second)
      await later.sweep()
      await soonCommitted(2)
      store.archives.delete(first)
      await later.sweep()
      expect(await committed()).toBe(2)
      again[Symbol.dispose]()
      await later.sweep()
      await soonCommitted(0)
    })

    it('share layers also when they are brought at the same moment', async () => {
      const images = await open()
      const base = layer('base', 'shared'.repeat(200_000))
      const all = Array.from({ length: 4 }, (_, at) => store.add(ociArchive([base, layer('own', `${at}`)])))
      const holds = await Promise.all(all.map((image) => images.hold(image, context)))
      expect(await committed()).toBe(5)
      expect(await leftovers()).toEqual([])
      for (const hold of holds) hold[Symbol.dispose]()
      for (const image of all) store.archives.delete(image)
      await images.sweep()
      await soonCommitted(0)
    })

    it('of nothing are empty', async () => {
      const images = await open()
      using hold = await images.hold(store.add(ociArchive([])), context)
      expect(hold.chain).toBe('')
      expect(await leftovers()).toEqual([])
    })

    const good = layer('file', 'content')
    const damaged: readonly (readonly [string, (files: Map<string, Uint8Array>) => void])[] = [
      ['has no index', (files) => files.delete('index.json')],
      ['has an index that is no JSON', (files) => files.set('index.json', Buffer.from('{'))],
      ['has an index of something else', (files) => files.set('index.json', Buffer.from('{"manifests":"none"}'))],
      ['lacks a layer', (files) => files.delete([...files.keys()].find((name) => files.get(name) === good) ?? '')],
      [
        'lacks its configuration',
        (files) => files.delete([...files.keys()].find((name) => name.startsWith('blobs')) ?? ''),
      ],
    ]
    it.each(damaged)('are refused when the archive %s', async (_, damage) => {
      const images = await open()
      let config = ''
      const id = store.add(
        ociArchive([good], (files) => {
          config = [...files.keys()].filter((name) => name.startsWith('blobs')).join()
          damage(files)
        }),
      )
      expect(config).not.toBe('')
      expect(await codeOf(images.hold(id, context))).toBe('image-invalid')
      expect(await leftovers()).toEqual([])
    })

    it('are refused when a layer is not what its name says', async () => {
      const images = await open()
      const id = store.add(
        ociArchive([good], (files) => {
          for (const [name, bytes] of files) if (bytes === good) files.set(name, layer('file', 'contenT'))
        }),
      )
      expect(await codeOf(images.hold(id, context))).toBe('image-invalid')
      expect(await leftovers()).toEqual([])
    })

    it('are refused when the archive ends in the middle, or is another image', async () => {
      const images = await open()
      const { image, bytes } = ociArchive([good])
      store.add({ image, bytes: bytes.subarray(0, bytes.length - 3_000) })
      expect(await codeOf(images.hold(image, context))).toBe('image-invalid')
      const other = `sha256:${'0'.repeat(64)}` as ImageId
      store.add({ image: other, bytes })
      expect(await codeOf(images.hold(other, context))).toBe('image-invalid')
      expect(await leftovers()).toEqual([])
    })

    it('are brought for those who still wait, and given up when nobody does', async () => {
      const images = await open()
      const id = store.add(ociArchive([layer('wait', 'w'), layer('more', 'm')]))
      const gate = Promise.withResolvers<void>()
      const asked = Promise.withResolvers<void>()
      store.between = () => {
        asked.resolve()
        return gate.promise
      }
      const leaving = new AbortController()
      const gone = codeOf(images.hold(id, { ...context, signal: leaving.signal }))
      await asked.promise
      const staying = images.hold(id, context)
      leaving.abort()
      expect(await gone).toBe('cancelled')
      gate.resolve()
      ;(await staying)[Symbol.dispose]()

      const alone = store.add(ociArchive([layer('alone', 'a')]))
      const giveUp = new AbortController()
      store.between = () => {
        giveUp.abort()
        return Promise.resolve()
      }
      expect(await codeOf(images.hold(alone, { ...context, signal: giveUp.signal }))).toBe('cancelled')
      store.between = () => Promise.resolve()
      expect(await leftovers()).toEqual([])
      ;(await images.hold(alone, context))[Symbol.dispose]()
    })

    it('that were half brought are removed by the next daemon', async () => {
      await containerd.leases.create('import-left', {})
      await containerd.snapshots.prepare('import-left-0', '', {}, { lease: 'import-left' })
      await containerd.leases.create(`image-${'1'.repeat(64)}`, {
        'cove.image': `sha256:${'1'.repeat(64)}`,
        'cove.chain': `sha256:${'2'.repeat(64)}`,
      })
      await open()
      for (let tries = 0; tries < 500 && (await leftovers()).length > 0; tries++) await turn()
      expect(await leftovers()).toEqual([])
      expect((await containerd.leases.list()).map(({ id }) => id)).not.toContain(`image-${'1'.repeat(64)}`)
    })
  },
)
