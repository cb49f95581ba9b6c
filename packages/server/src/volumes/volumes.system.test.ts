import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CoveError } from '@cove/domain'
import { KEY, openHouse, OTHER_KEY, type House } from '../../test/support/harness.ts'
import { callerOf } from '../../test/support/identity.ts'
import { codeOf as codeOfError } from '../../test/support/code-of.ts'

const MIB = 1024n * 1024n

let house: House
let base: string
let cove: ReturnType<typeof callerOf>

beforeEach(async () => {
  house = await openHouse()
  base = await house.listen()
  cove = callerOf(base, KEY)
})
afterEach(() => house[Symbol.asyncDispose]())

const codeOf = (call: Promise<unknown>): Promise<string> => call.then(() => 'no error', codeOfError)

describe('volumes', () => {
  test('are made, mounted, kept while they are used, and deleted', async () => {
    const { volume } = await cove.volumes.createVolume({ name: 'data', sizeBytes: 64n * MIB })
    expect(volume).toMatchObject({ name: 'data', sizeBytes: 64n * MIB, enforced: true, readOnly: false })
    const { sandbox } = await cove.sandboxes.createSandbox({
      name: 'box',
      volumes: [{ volume: 'data', path: '/data' }],
    })
    expect(sandbox?.volumes).toMatchObject([{ volume: 'data', path: '/data', readOnly: false }])
    expect(house.node.requests.at(-1)?.spec.volumes).toMatchObject([{ volume: volume?.id, path: '/data' }])
    expect((await cove.volumes.getVolume({ id: 'data' })).volume?.sandboxes).toEqual([sandbox?.id])
    expect(await codeOf(cove.volumes.deleteVolume({ id: 'data' }))).toBe('wrong-state')
    expect((await cove.volumes.listVolumes({})).volumes).toHaveLength(1)
    await cove.sandboxes.deleteSandbox({ id: 'box' })
    await cove.volumes.deleteVolume({ id: 'data' })
    await cove.volumes.deleteVolume({ id: volume?.id ?? '' })
    expect(await codeOf(cove.volumes.getVolume({ id: 'data' }))).toBe('volume-not-found')
  })

  test('are copied; a copy that can only be read is mounted so', async () => {
    const { volume } = await cove.volumes.createVolume({ name: 'data', sizeBytes: 64n * MIB })
    const { volume: copy } = await cove.volumes.createVolume({ name: 'monday', source: 'data', readOnly: true })
    expect(copy).toMatchObject({ source: volume?.id, readOnly: true, sizeBytes: 64n * MIB })
    const { sandbox } = await cove.sandboxes.createSandbox({ volumes: [{ volume: 'monday', path: '/old' }] })
    expect(sandbox?.volumes[0]?.readOnly).toBe(true)
    expect(await codeOf(cove.volumes.createVolume({ name: 'x', source: 'data', sizeBytes: 1n }))).toBe(
      'invalid-argument',
    )
    expect(await codeOf(cove.volumes.createVolume({ name: 'x', source: 'nothing' }))).toBe('volume-not-found')
  })

  test.each([
    ['/', 'the root'],
    ['data', 'a path that is not absolute'],
    ['/a/../b', 'a path with dots'],
    ['/a/', 'a slash at the end'],
    ['/proc/x', 'what belongs to the sandbox'],
    ['/run', 'what belongs to the sandbox'],
    ['/a\0b', 'a NUL'],
  ])('are refused at %j: %s', async (path) => {
    await cove.volumes.createVolume({ name: 'data' })
    expect(await codeOf(cove.sandboxes.createSandbox({ volumes: [{ volume: 'data', path }] }))).toBe('invalid-argument')
  })

  test('are refused inside of each other, when they are not there, and when they are another project’s', async () => {
    await cove.volumes.createVolume({ name: 'data' })
    const both = ['/a', '/a/b'].map((path) => ({ volume: 'data', path }))
    expect(await codeOf(cove.sandboxes.createSandbox({ volumes: both }))).toBe('invalid-argument')
    const absent = [{ volume: 'absent', path: '/a' }]
    expect(await codeOf(cove.sandboxes.createSandbox({ volumes: absent }))).toBe('volume-not-found')
    const other = callerOf(base, OTHER_KEY)
    expect(await codeOf(other.sandboxes.createSandbox({ volumes: [{ volume: 'data', path: '/a' }] }))).toBe(
      'volume-not-found',
    )
  })

  test('that cannot be made leave nothing', async () => {
    house.node.volumes.create = () => Promise.reject(new CoveError('limit-not-enforceable', 'no such size'))
    expect(await codeOf(cove.volumes.createVolume({ name: 'data', sizeBytes: 64n * MIB }))).toBe(
      'limit-not-enforceable',
    )
    expect((await cove.volumes.listVolumes({})).volumes).toEqual([])
    expect(house.node.calls.some((call) => call.startsWith('remove volume'))).toBe(true)
  })
})

describe('pools', () => {
  test('are told to the node, also after a restart, and taken back', async () => {
    const { pool } = await cove.pools.setPool({ name: 'warm', template: 'host', min: 2, max: 4 })
    expect(pool).toMatchObject({ name: 'warm', template: 'host', min: 2, max: 4, ready: 2 })
    const { store, node } = house
    await house[Symbol.asyncDispose]()
    await node.pools.set([])
    house = await openHouse({ store, node })
    await expect.poll(async () => (await node.pools.list()).map(({ spec }) => spec.name)).toEqual(['default/warm'])
    cove = callerOf(await house.listen(), KEY)
    await cove.pools.deletePool({ name: 'warm' })
    expect(await node.pools.list()).toEqual([])
    expect((await cove.pools.listPools({})).pools).toEqual([])
  })

  test('are refused with bounds that make no sense, and of templates that are not there', async () => {
    for (const bounds of [{ min: 3, max: 2 }, { min: 65 }, { min: 1, max: 65 }]) {
      expect(await codeOf(cove.pools.setPool({ name: 'warm', template: 'host', ...bounds }))).toBe('invalid-argument')
    }
    expect(await codeOf(cove.pools.setPool({ name: 'warm', template: 'moon', min: 1 }))).toBe('template-not-found')
    expect(await codeOf(cove.pools.setPool({ name: 'Warm', template: 'host', min: 1 }))).toBe('invalid-argument')
    expect((await cove.pools.listPools({})).pools).toEqual([])
  })
})
