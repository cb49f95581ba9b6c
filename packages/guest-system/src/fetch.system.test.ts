import {
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { IMAGE_PACKAGE, installKernel, MODULES } from '../test/support/fake-distribution.ts'
import { House } from '../test/support/house.ts'
import { elfKernel } from '../test/support/images.ts'

const { signal } = new AbortController()
const daysAgo = (count: number) => new Date(Date.now() - count * 24 * 3_600_000)
let house: House
beforeEach(() => {
  house = new House()
})
afterEach(() => house[Symbol.dispose]())

describe("the distribution's kernel", () => {
  it('is taken out of its package once, with the modules that a guest needs', async () => {
    house.distribution.publishImage('6.1.9-1')
    const systems = house.open()
    expect(await systems.list()).toEqual([])
    expect(await systems.current(signal)).toBeUndefined()
    const steps: string[] = []
    const info = await systems.fetch({ signal, progress: ({ step }) => steps.push(step) })
    expect(info).toMatchObject({
      origin: 'distribution',
      version: '6.1.0-9-cloud-amd64',
      source: `${IMAGE_PACKAGE} 6.1.9-1`,
      machine: 'x86_64',
      acpi: true,
      has: { ninep: false, virtiofs: false, vsock: false, smp: true },
      current: true,
      damaged: false,
    })
    expect(steps).toEqual([
      `fetching ${IMAGE_PACKAGE} 6.1.9-1`,
      'unpacking the kernel',
      'choosing modules',
      'tidying up',
    ])
    expect(await systems.list()).toEqual([info])
    expect(house.leftovers()).toEqual([])

    house.distribution.forgetCalls()
    expect(await house.open().fetch({ signal })).toEqual(info)
    expect(house.distribution.calls.filter((call) => call.startsWith('apt-get'))).toEqual([])

    house.distribution.publishImage('6.1.9-2')
    const newer = await systems.fetch({ signal })
    expect(newer).toMatchObject({ current: true, source: `${IMAGE_PACKAGE} 6.1.9-2` })
    expect((await systems.list()).map(({ id, current }) => [id, current])).toEqual([
      [newer.id, true],
      [info.id, false],
    ])
  })

  it('boots from an archive with the programs, and its modules in order', async () => {
    house.distribution.publishImage('1')
    const systems = house.open()
    await systems.fetch({ signal })
    const system = await systems.current(signal)
    expect(readFileSync(system?.kernel ?? '').equals(elfKernel('1'))).toBe(true)
    const initrd = readFileSync(system?.initrd ?? '', 'latin1')
    const pack = readFileSync(system?.packInitrd ?? '', 'latin1')
    expect(initrd).toContain('cove-guest')
    expect(initrd).not.toContain('cove-layers')
    expect(pack).toContain('cove-layers')
    expect(pack).not.toContain('cove-guest')
    expect(initrd).toContain('/lib/modules/virtio.ko\n/lib/modules/virtio_mmio.ko\n/lib/modules/virtio_blk.ko\n')
    expect(initrd).toContain('/lib/modules/virtio_net.ko net\n')
  })

  it('is the newest that is installed where there is no package', async () => {
    const systems = house.open([])
    await expect(systems.fetch({ signal })).rejects.toMatchObject({
      code: 'unsupported',
      fix: expect.stringMatching(/./),
    })
    installKernel(house.root, '6.1.0-9-amd64')
    installKernel(house.root, '6.1.0-10-amd64')
    // An image whose modules were removed is of no use.
    writeFileSync(join(house.root, 'boot/vmlinuz-6.1.0-11-amd64'), elfKernel('lonely'))
    const info = await systems.fetch({ signal })
    expect(info).toMatchObject({ version: '6.1.0-10-amd64', acpi: false })
    expect(await systems.fetch({ signal })).toEqual(info)
  })

  it('is refused with what to do when the lists of packages name none', async () => {
    await expect(house.open().fetch({ signal })).rejects.toMatchObject({
      code: 'unsupported',
      fix: expect.stringContaining('apt-get update'),
    })
  })

  it.each([
    ['whose package was cut short', () => house.distribution.truncate(IMAGE_PACKAGE)],
    ['that is none', () => house.distribution.publishImage('1', { kernel: Buffer.alloc(5_000, 'no kernel') })],
    ['without a module', () => house.distribution.publishImage('1', { modules: { ...MODULES, virtio_blk: 'scsi' } })],
  ])('is refused, and nothing is left of one %s', async (_what, spoil) => {
    house.distribution.publishImage('1')
    spoil()
    const systems = house.open()
    await expect(systems.fetch({ signal })).rejects.toMatchObject({ code: 'kernel-invalid' })
    expect(await systems.list()).toEqual([])
    expect(house.leftovers()).toEqual([])
  })
})

describe('a kernel that is kept', () => {
  it('goes when it is removed, and by its own name only', async () => {
    house.distribution.publishImage('1')
    const systems = house.open()
    const { id } = await systems.fetch({ signal })
    for (const name of ['', '..', 'a'.repeat(64), id.slice(1)]) {
      await expect(systems.remove(name)).rejects.toMatchObject({ code: 'kernel-not-found' })
    }
    await systems.remove(id)
    await expect(systems.remove(id)).rejects.toMatchObject({ code: 'kernel-not-found' })
    expect(await systems.current(signal)).toBeUndefined()
    expect(house.leftovers()).toEqual([])
  })

  it('is told as damaged when it was cut short, and comes again', async () => {
    house.distribution.publishImage('1')
    const systems = house.open()
    const { id } = await systems.fetch({ signal })
    const image = join(house.folder, 'kernels', id, 'image')
    truncateSync(image, 10)
    expect(await systems.list()).toMatchObject([{ id, damaged: true, current: false }])
    expect(await systems.current(signal)).toBeUndefined()
    expect(await systems.fetch({ signal })).toMatchObject({ id, damaged: false, current: true })
    // The same length, and other bytes.
    writeFileSync(image, Buffer.alloc(readFileSync(image).length))
    await expect(house.open().current(signal)).rejects.toMatchObject({ code: 'kernel-invalid' })
    rmSync(join(house.folder, 'kernels', id, 'manifest.json'))
    expect(await systems.list()).toMatchObject([{ id, damaged: true }])
    await systems.remove(id)
    expect(await systems.list()).toEqual([])
  })

  it.each([
    ['is a file', () => writeFileSync(join(house.root, 'a'), ''), undefined, 'config-invalid'],
    ['cannot be there', () => {}, '/proc/cove/kernels', 'config-invalid'],
    ['nobody may write', () => {}, '/sys/cove', 'permission-denied'],
  ])('cannot be kept in a folder that %s', async (_what, spoil, folder, code) => {
    spoil()
    if (folder !== undefined) Object.assign(house, { folder })
    house.distribution.publishImage('1')
    await expect(house.open().fetch({ signal })).rejects.toMatchObject({
      code,
      fix: expect.stringContaining('COVE_KERNEL_DIR'),
    })
  })
})

describe('the files that a kernel boots with', () => {
  it('are made once, however many ask at the same time', async () => {
    house.distribution.publishImage('1')
    await house.open().fetch({ signal })
    const all = await Promise.all(Array.from({ length: 12 }, async () => await house.open().current(signal)))
    expect(new Set(all.map((system) => JSON.stringify(system))).size).toBe(1)
    expect(house.leftovers()).toEqual([])
  })

  it('are others with other programs, and come again when they are gone or damaged', async () => {
    house.distribution.publishImage('1')
    const systems = house.open()
    await systems.fetch({ signal })
    const first = await systems.current(signal)
    writeFileSync(house.programs.guestProgram, 'a later version of the agent')
    const second = await systems.current(signal)
    expect(second?.kernel).toBe(first?.kernel)
    expect(second?.id).not.toBe(first?.id)
    expect(readFileSync(second?.initrd ?? '', 'latin1')).toContain('a later version')
    rmSync(join(house.folder, 'boot'), { recursive: true })
    expect(await systems.current(signal)).toEqual(second)
    writeFileSync(second?.initrd ?? '', 'nonsense')
    expect(await house.open().current(signal)).toEqual(second)
    expect(readFileSync(second?.initrd ?? '', 'latin1')).toContain('a later version')
    expect(house.leftovers()).toEqual([])
  })

  it('go when nobody has used them for a week, and not before', async () => {
    house.distribution.publishImage('1')
    const systems = house.open()
    await systems.fetch({ signal })
    const first = await systems.current(signal)
    const boot = join(house.folder, 'boot')
    for (const [name, age] of Object.entries({ older: 8, other: 6, '.half-made': 1, '.just-begun': 0 })) {
      mkdirSync(join(boot, name))
      utimesSync(join(boot, name), daysAgo(age), daysAgo(age))
    }
    utimesSync(dirname(first?.initrd ?? ''), daysAgo(8), daysAgo(8))
    // Another process has used it just now.
    await house.open().current(signal)
    writeFileSync(house.programs.bootProgram, 'a later version')
    const second = await systems.current(signal)
    const kept = [first, second].map((system) => basename(dirname(system?.initrd ?? '')))
    expect(readdirSync(boot).toSorted()).toEqual(['.just-begun', 'other', ...kept].toSorted())
  })

  it('may be read by the users that VMs run as, whoever has made them', async () => {
    house.distribution.publishImage('1')
    const systems = house.open()
    const mask = process.umask(0o077)
    try {
      await systems.fetch({ signal })
      const { kernel = '', initrd = '', packInitrd = '' } = (await systems.current(signal)) ?? {}
      for (const path of [kernel, initrd, packInitrd]) expect(statSync(path).mode & 0o777).toBe(0o644)
    } finally {
      process.umask(mask)
    }
  })

  it('are told to be missing a program', async () => {
    house.distribution.publishImage('1')
    const systems = house.open()
    await systems.fetch({ signal })
    rmSync(house.programs.bootProgram)
    mkdirSync(house.programs.bootProgram)
    await expect(systems.current(signal)).rejects.toMatchObject({
      code: 'unsupported',
      fix: expect.stringContaining('cove setup'),
    })
  })
})
