import { afterEach, beforeEach, expect, it } from 'vitest'
import { CoveError, type ImageInfo } from '@cove/domain'
import { imageNamed } from '../../test/support/stub-facets.ts'
import { openHouse, SCOPE, type House } from '../../test/support/harness.ts'
import type { CreateRequest } from '../sandboxes/request.ts'
import type { BuildTemplate } from './templates.ts'
import type { FollowedEvent } from './template-builds.ts'
import type { MemoryRecord } from './template-record.ts'

let house: House
beforeEach(async () => {
  house = await openHouse()
})
afterEach(() => house[Symbol.asyncDispose]())

const START = { argv: ['serve'] }
const NONE = { kind: 'none' } as const
const plain: Omit<BuildTemplate, 'name'> = {
  source: 'host',
  steps: [],
  start: START,
  limits: { memoryBytes: { value: 1 << 28, required: false } },
  description: '',
  noCache: false,
  network: NONE,
  buildLimits: {},
  memory: { network: NONE },
}
const request: CreateRequest = { template: 'web', limits: {}, network: NONE, env: {}, labels: {} }

const IMAGE: ImageInfo = {
  id: imageNamed('web'),
  source: 'commit',
  platform: { os: 'linux', architecture: 'amd64' },
  base: 'host',
  layers: [],
  defaults: { env: {}, command: [] },
  fetchedAt: 0,
}

async function build(changes: Partial<BuildTemplate> = {}): Promise<FollowedEvent | undefined> {
  const { templates } = house.server
  const id = await templates.build(SCOPE, { ...plain, ...changes, name: 'web' })
  house.node.builds.tell(id, { type: 'done', image: IMAGE })
  return (await Array.fromAsync(templates.follow(SCOPE, id, 0, new AbortController().signal))).at(-1)
}

async function memory(): Promise<MemoryRecord | undefined> {
  const known = await house.server.templates.get(SCOPE, 'web')
  return 'record' in known ? known.record.memory : undefined
}

const kept = () => house.node.snapshots.list()

it('a template is saved with its start command running, and nothing of that machine stays', async () => {
  expect(await build()).toMatchObject({ type: 'done', template: { memory: { driver: 'stub', network: NONE } } })
  const [made] = house.node.requests
  expect(made?.spec).toMatchObject({ start: START, driver: 'stub', network: NONE, env: {} })
  expect([...house.node.machines.keys()]).toEqual([])
  const { snapshot } = (await memory()) ?? {}
  expect(await kept()).toEqual([snapshot])
  const { spec } = await house.server.sandboxes.create(SCOPE, request)
  expect(spec.memory).toEqual({ snapshot, driver: 'stub' })
})

it('what was saved goes with its version, and with the template', async () => {
  await build()
  const first = await kept()
  await build()
  expect(await kept()).toHaveLength(1)
  expect(await kept()).not.toEqual(first)
  await house.server.templates.delete(SCOPE, 'web')
  expect(await kept()).toEqual([])
})

it('a sandbox that is to have something else is told why it starts', async () => {
  await build()
  const reasons: (string | undefined)[] = []
  for (const changes of [
    { limits: { memoryBytes: { value: 1 << 29, required: true } } },
    { network: { kind: 'internet', allow: [] } } as const,
    { limits: { memoryBytes: { value: 1 << 28, required: true } } },
  ]) {
    reasons.push((await house.server.sandboxes.create(SCOPE, { ...request, ...changes })).spec.memory?.unfit)
  }
  expect(reasons).toEqual([expect.stringContaining('memoryBytes'), expect.stringContaining('network none'), undefined])
})

it('a build whose machine cannot be saved has failed, and what the name meant before holds', async () => {
  await build()
  const before = await memory()
  house.node.onSnapshot = () => Promise.reject(new CoveError('no-space', 'the disk is full'))
  expect(await build()).toMatchObject({ type: 'failed', code: 'no-space' })
  expect(await memory()).toEqual(before)
  expect(await kept()).toEqual([before?.snapshot])
  expect([...house.node.machines.keys()]).toEqual([])
})
