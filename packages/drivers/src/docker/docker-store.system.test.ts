import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readsDisk, type CreateContext, type ImageLease, type ImageStore, type MachineSpec } from '@cove/domain'
import { systemClock } from '@cove/domain/system'
import { openImageStore } from '@cove/images'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { noDocker, openDockerRig, type DockerRig } from '../../test/support/docker-rig.ts'
import { Stage } from '../conformance/index.ts'

const LAYERS = fileURLToPath(new URL('../../../../build/cove-layers', import.meta.url))
const missing = noDocker ?? (existsSync(LAYERS) ? undefined : 'build/cove-layers is missing')
if (missing !== undefined) console.log(`skipped: Docker with the node's image store: ${missing}`)

const context = (): CreateContext => ({ signal: AbortSignal.timeout(60_000), progress: () => undefined })
const quietly = () => ({ signal: AbortSignal.timeout(60_000), progress: () => undefined })
const from = ({ info, root }: ImageLease): Pick<MachineSpec, 'from'> => {
  if (root.kind !== 'layers') throw new Error('not an image of layers')
  return { from: { ...root, image: info.id } }
}

describe.skipIf(missing !== undefined)("Docker with the node's image store", () => {
  let rig: DockerRig
  let store: ImageStore
  const stage = new Stage(async () => {
    rig = await openDockerRig()
    store = await openImageStore({ folder: join(rig.folder, 'images'), layersProgram: LAYERS, clock: systemClock })
    // The rig's own driver, over images that the engine gets from the store.
    return { ...rig, driver: rig.open({ images: store }) }
  })
  beforeAll(() => stage.open())
  afterAll(async () => {
    await stage.driver.close()
    await store[Symbol.asyncDispose]()
    await stage.close()
  })
  afterEach(async () => {
    await stage.clear()
  })

  it('makes a snapshot of a machine and another machine of that, as often as wanted', async () => {
    const root = join(rig.folder, 'root.tar')
    execFileSync('tar', ['-C', rig.from.lower[0] ?? '', '-cf', root, '.'])
    using base = await store.fetch(`tar:${root}`, quietly())
    let parent: ImageLease = base
    const leases: ImageLease[] = []
    for (const round of ['one', 'two']) {
      const machine = await stage.create(from(parent))
      const link = await stage.link(machine)
      await stage.shell(link, `echo ${round} > /home/user/${round}; ln /home/user/${round} /home/user/${round}-too`)
      await stage.shell(link, `rm /bin/seq; rm -r /var/tmp; mkdir -m 1777 /var/tmp; echo ${round} > /etc/round`, 'root')
      if (!readsDisk(machine)) throw new Error('the disk cannot be read')
      await using content = await machine.readDisk(context())
      parent = await store.commit({ parent: parent.info.id, content, ...quietly() })
      leases.push(parent)
    }
    expect(parent.info.layers.length).toBe(base.info.layers.length + 2)
    const link = await stage.link(await stage.create(from(parent)))
    const script = 'cat /home/user/one /home/user/two-too /etc/round; stat -c "%U %h" /home/user/two; ls /bin/seq'
    const { stdout } = await stage.shell(link, script)
    expect(stdout).toBe('one\ntwo\ntwo\nuser 2\n')
    for (const lease of leases) lease[Symbol.dispose]()
  })
})
