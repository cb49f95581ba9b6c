import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readsDisk, type ImageStore } from '@cove/domain'
import { systemClock } from '@cove/domain/system'
import { openImageStore } from '@cove/images'
import { missingForContainerd } from '@cove/containerd-engine/testing'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { openContainerdRig, type ContainerdRig } from '../../test/support/containerd-rig.ts'
import { noSmallRoot, smallRoot } from '../../test/support/small-root.ts'
import { Stage } from '../conformance/index.ts'

const LAYERS = fileURLToPath(new URL('../../../../build/cove-layers', import.meta.url))
const missing =
  missingForContainerd() ?? noSmallRoot ?? (existsSync(LAYERS) ? undefined : 'build/cove-layers is missing')
const call = () => ({ signal: AbortSignal.timeout(60_000), progress: () => undefined })

describe.skipIf(missing !== undefined)(
  `machines of containerd from the node's images${missing === undefined ? '' : ` (skipped: ${missing})`}`,
  () => {
    let folder: string
    let store: ImageStore
    let rig: ContainerdRig
    const stage = new Stage(async () => {
      rig = await openContainerdRig(store)
      return rig
    })
    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'cove-test-'))
      store = await openImageStore({ folder: join(folder, 'images'), layersProgram: LAYERS, clock: systemClock })
      await stage.open()
    })
    afterAll(async () => {
      await stage.close()
      await store[Symbol.asyncDispose]()
      await rm(folder, { recursive: true })
    })
    afterEach(() => stage.expectCleared())

    it('start from them, and what they write becomes one', async () => {
      const { lower } = await smallRoot(folder)
      using base = await store.fetch(`directory:${lower[0]}`, call())
      const first = await stage.create({ from: base.root })
      const link = await stage.link(first)
      await stage.shell(link, 'echo saved > /root/note; rm /etc/group; mkdir /home/user/new', 'root')
      if (!readsDisk(first)) throw new Error('the machine cannot tell')
      await using content = await first.readDisk(call())
      using saved = await store.commit({ parent: base.info.id, content, ...call() })
      expect(saved.info.layers.slice(0, base.info.layers.length)).toEqual(base.info.layers)

      const second = await stage.link(await stage.create({ from: saved.root }))
      const told = await stage.shell(second, 'cat /root/note; ls -d /etc/group /home/user/new 2>/dev/null', 'root')
      expect(told.stdout).toBe('saved\n/home/user/new\n')
      // The layers below are there once.
      const snapshots = await rig.containerd.snapshots.list()
      expect(snapshots.filter(({ kind }) => kind === 'committed')).toHaveLength(saved.info.layers.length)
    })

    it('lets go of an image that the store has removed', async () => {
      const { lower } = await smallRoot(join(folder, 'other'))
      const other = await store.fetch(`directory:${lower[0]}`, call())
      await stage.create({ from: other.root })
      const { id } = other.info
      other[Symbol.dispose]()
      await stage.clear()
      await store.remove(id)
      await stage.restart()
      await Array.fromAsync(stage.driver.recover())
      const leases = await rig.containerd.leases.list()
      expect(leases.map(({ labels }) => labels['cove.image'])).not.toContain(id)
    })
  },
)
