import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CoveError } from '@cove/domain'
import { SnapshotKind } from '@cove/api'
import { KEY, openHouse, OTHER_KEY, type House } from '../../test/support/harness.ts'
import { callerOf } from '../../test/support/identity.ts'
import { codeOf as codeOfError } from '../../test/support/code-of.ts'

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

const made = async (name: string): Promise<string> =>
  (await cove.sandboxes.createSandbox({ name, env: { COLOUR: 'red' } })).sandbox?.id ?? ''

describe('snapshots', () => {
  test('are taken, found by name, used and deleted, also when their sandbox is gone', async () => {
    const sandbox = await made('box')
    const { snapshot } = await cove.snapshots.createSnapshot({ sandbox: 'box', name: 'first', labels: { a: 'b' } })
    expect(snapshot).toMatchObject({ name: 'first', sandbox, kind: SnapshotKind.FILESYSTEM, labels: { a: 'b' } })
    expect(snapshot?.image).toMatch(/^sha256:/)
    await cove.sandboxes.deleteSandbox({ id: 'box' })
    const { sandbox: child } = await cove.sandboxes.createSandbox({ name: 'child', snapshot: 'first' })
    expect(child).toMatchObject({ snapshot: snapshot?.id, template: 'host' })
    const asked = house.node.requests.at(-1)?.spec
    expect(asked).toMatchObject({ from: { kind: 'image', image: snapshot?.image }, env: { COLOUR: 'red' } })
    await cove.snapshots.deleteSnapshot({ id: 'first' })
    await cove.snapshots.deleteSnapshot({ id: snapshot?.id ?? '' })
    expect(await codeOf(cove.snapshots.getSnapshot({ id: 'first' }))).toBe('snapshot-not-found')
    expect((await cove.snapshots.listSnapshots({})).snapshots).toEqual([])
    expect(house.node.calls).toContain(`remove snapshot ${snapshot?.id}`)
  })

  test('run what their template starts, in whatever is made of them and of that again', async () => {
    const start = { argv: ['serve'], ready: { port: 80, timeout: { seconds: 5n, nanos: 0 } } }
    const { build } = await cove.templates.buildTemplate({ name: 'web', source: 'host', start })
    const { image } = (await cove.snapshots.createSnapshot({ sandbox: await made('any') })).snapshot ?? {}
    const [stored] = (await house.node.images.list()).filter(({ info }) => info.id === image)
    if (stored === undefined) throw new Error('no image')
    house.node.builds.tell(build, { type: 'done', image: stored.info })
    await Array.fromAsync(cove.templates.followBuild({ build }))
    await cove.sandboxes.createSandbox({ name: 'box', template: 'web' })
    await cove.snapshots.createSnapshot({ sandbox: 'box', name: 'first' })
    await cove.sandboxes.createSandbox({ name: 'child', snapshot: 'first' })
    await cove.sandboxes.forkSandbox({ id: 'child' })
    const asked = house.node.requests.slice(-3).map(({ spec }) => spec.start)
    expect(asked).toEqual(
      Array.from({ length: 3 }, () => ({ argv: ['serve'], ready: { kind: 'port', port: 80, timeoutMs: 5_000 } })),
    )
  })

  test('cannot make an environment grow without end', async () => {
    const large = 'x'.repeat(120_000)
    await cove.sandboxes.createSandbox({ name: 'box', env: { A: large } })
    await cove.snapshots.createSnapshot({ sandbox: 'box', name: 'first' })
    expect(await codeOf(cove.sandboxes.createSandbox({ snapshot: 'first', env: { B: large } }))).toBe(
      'invalid-argument',
    )
  })

  test('keep their memory where that is asked for', async () => {
    await made('box')
    const { snapshot } = await cove.snapshots.createSnapshot({ sandbox: 'box', kind: SnapshotKind.MEMORY })
    expect(snapshot).toMatchObject({ kind: SnapshotKind.MEMORY, driver: 'stub', image: '' })
    await cove.sandboxes.createSandbox({ name: 'again', snapshot: snapshot?.id ?? '' })
    expect(house.node.requests.at(-1)?.spec.from).toEqual({ kind: 'snapshot', snapshot: snapshot?.id })
  })

  test('that fail leave nothing, neither here nor on the node', async () => {
    await made('box')
    house.node.onSnapshot = () => Promise.reject(new CoveError('no-space', 'the disk is full'))
    expect(await codeOf(cove.snapshots.createSnapshot({ sandbox: 'box', name: 'first' }))).toBe('no-space')
    expect((await cove.snapshots.listSnapshots({})).snapshots).toEqual([])
    expect(house.node.calls.filter((call) => call.startsWith('remove snapshot'))).toHaveLength(1)
    expect(await codeOf(cove.sandboxes.createSandbox({ snapshot: 'first' }))).toBe('snapshot-not-found')
  })

  test('belong to their project and have names of their own there', async () => {
    await made('box')
    await cove.snapshots.createSnapshot({ sandbox: 'box', name: 'first' })
    expect(await codeOf(cove.snapshots.createSnapshot({ sandbox: 'box', name: 'first' }))).toBe('already-exists')
    expect(await codeOf(cove.snapshots.createSnapshot({ sandbox: 'box', name: 'Nice Name' }))).toBe('invalid-argument')
    const other = callerOf(base, OTHER_KEY)
    expect((await other.snapshots.listSnapshots({})).snapshots).toEqual([])
    expect(await codeOf(other.sandboxes.createSandbox({ snapshot: 'first' }))).toBe('snapshot-not-found')
    expect(await codeOf(other.snapshots.deleteSnapshot({ id: 'first' }))).toBe('snapshot-not-found')
    expect(await codeOf(cove.sandboxes.createSandbox({ snapshot: 'first', template: 'host' }))).toBe('invalid-argument')
  })
})

describe('forks', () => {
  test('are children with everything of their parent but its name, and leave no snapshot', async () => {
    await cove.sandboxes.createSandbox({ name: 'box', env: { COLOUR: 'red' }, labels: { team: 'a' } })
    const { sandboxes, kind } = await cove.sandboxes.forkSandbox({ id: 'box', count: 3, labels: { role: 'child' } })
    expect(kind).toBe(SnapshotKind.MEMORY)
    expect(new Set(sandboxes.map(({ id }) => id)).size).toBe(3)
    for (const child of sandboxes)
      expect(child).toMatchObject({ name: '', labels: { team: 'a', role: 'child' }, snapshot: '' })
    expect(house.node.requests.at(-1)?.spec.env).toEqual({ COLOUR: 'red' })
    expect((await cove.snapshots.listSnapshots({})).snapshots).toEqual([])
    expect(house.node.calls.filter((call) => call.startsWith('remove snapshot'))).toHaveLength(1)
  })

  test('have the files where the memory cannot be had', async () => {
    await made('box')
    house.node.onSnapshot = ({ kind }) =>
      kind === 'memory' ? Promise.reject(new CoveError('unsupported', 'no memory')) : Promise.resolve()
    expect((await cove.sandboxes.forkSandbox({ id: 'box' })).kind).toBe(SnapshotKind.FILESYSTEM)
    expect(await codeOf(cove.sandboxes.forkSandbox({ id: 'box', kind: SnapshotKind.MEMORY }))).toBe('unsupported')
  })

  test('are all there or none is', async () => {
    await made('box')
    let left = 2
    house.node.onCreate = () =>
      left-- > 0 ? Promise.resolve() : Promise.reject(new CoveError('no-capacity', 'there is no room'))
    expect(await codeOf(cove.sandboxes.forkSandbox({ id: 'box', count: 4 }))).toBe('no-capacity')
    expect([...house.node.machines.values()]).toHaveLength(1)
    expect(await codeOf(cove.sandboxes.forkSandbox({ id: 'box', count: 65 }))).toBe('invalid-argument')
  })

  test('are made at the same time of one saved state, and those that failed are gone too', async () => {
    await made('box')
    let most = 0
    let now = 0
    let begun = 0
    house.node.onCreate = async () => {
      most = Math.max(most, ++now)
      await new Promise(setImmediate)
      now--
    }
    const { sandboxes } = await cove.sandboxes.forkSandbox({ id: 'box', count: 20 })
    expect([new Set(sandboxes.map(({ id }) => id)).size, most]).toEqual([20, 20])
    expect(house.node.calls.filter((call) => call.startsWith('snapshot'))).toHaveLength(1)
    for (const { id } of sandboxes) await cove.sandboxes.deleteSandbox({ id })
    house.node.onCreate = async () => {
      if (++begun === 3) throw new CoveError('driver-failed', 'the machine ended')
    }
    expect(await codeOf(cove.sandboxes.forkSandbox({ id: 'box', count: 5 }))).toBe('driver-failed')
    expect((await cove.sandboxes.listSandboxes({})).sandboxes.map(({ name }) => name)).toEqual(['box'])
    expect(await house.node.snapshots.list()).toEqual([])
  })
})
