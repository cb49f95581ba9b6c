import { expect, it } from 'vitest'
import { chooseModules, type ModulesOfKernel } from './choose-modules.ts'

type Facts = Readonly<Record<string, { readonly depends?: string[]; readonly before?: string[] }>>

const EVERY: Facts = {
  virtio: {},
  virtio_ring: {},
  virtio_mmio: { depends: ['virtio', 'virtio_ring'] },
  virtio_blk: { depends: ['virtio'] },
  virtio_console: { depends: ['virtio'] },
  libcrc32c: { before: ['crc32c'] },
  crc32c_generic: {},
  erofs: { depends: ['libcrc32c'] },
  overlay: {},
  failover: {},
  virtio_net: { depends: ['failover', 'virtio'] },
}

const kernel = (facts: Facts, ...builtIn: readonly string[]): ModulesOfKernel => ({
  builtIn: new Set(builtIn),
  read: async (name) => {
    const found = facts[name]
    if (found === undefined) return undefined
    return { name, content: Buffer.from(name), facts: { depends: found.depends ?? [], before: found.before ?? [] } }
  },
})

it('loads each module behind those that it depends on, and only when it is needed', async () => {
  const { modules, has } = await chooseModules(kernel(EVERY, 'ext4'))
  expect(modules.map(({ name, when }) => [name, ...when].join(' '))).toEqual([
    'virtio',
    'virtio_ring',
    'virtio_mmio',
    'virtio_blk',
    'virtio_console port',
    'crc32c_generic erofs',
    'libcrc32c erofs',
    'erofs erofs',
    'overlay machine',
    'failover net',
    'virtio_net net',
  ])
  expect([...has]).toEqual(['virtio_net'])
})

it('names every reason of a module that several need', async () => {
  const facts = { ...EVERY, shared: {}, virtio_rng: { depends: ['shared'] }, virtiofs: { depends: ['shared'] } }
  const { modules } = await chooseModules(kernel(facts, 'ext4'))
  expect(modules.find(({ name }) => name === 'shared')?.when).toEqual(['machine', 'virtiofs'])
})

it('takes what is in the image as it is', async () => {
  const all = ['virtio_mmio', 'virtio_blk', 'virtio_console', 'ext4', 'erofs', 'overlay', '9p', '9pnet_virtio']
  const { modules, has } = await chooseModules(kernel({}, ...all))
  expect(modules).toEqual([])
  expect([...has].toSorted()).toEqual(['9p', '9pnet_virtio'])
})

it.each([
  ['a driver', EVERY, 'ext4'],
  ['what a module depends on', { ...EVERY, ext4: { depends: ['jbd2'] } }, 'jbd2'],
])('refuses a kernel without %s', async (_what, facts, missing) => {
  await expect(chooseModules(kernel(facts))).rejects.toMatchObject({
    code: 'kernel-invalid',
    context: { module: missing },
  })
})

it('ends where modules depend on each other', async () => {
  const facts = { ...EVERY, overlay: { depends: ['failover'] }, failover: { depends: ['overlay'] } }
  const { modules } = await chooseModules(kernel(facts, 'ext4'))
  expect(modules.filter(({ name }) => name === 'overlay' || name === 'failover')).toHaveLength(2)
})
