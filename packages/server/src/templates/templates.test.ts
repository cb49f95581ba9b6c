import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ImageInfo } from '@cove/domain'
import { imageNamed } from '../../test/support/stub-facets.ts'
import { openHouse, SCOPE, type House } from '../../test/support/harness.ts'
import type { CreateRequest } from '../sandboxes/request.ts'
import { templateNotFound } from './template-book.ts'
import type { BuildTemplate, Templates } from './templates.ts'
import type { FollowedEvent } from './template-builds.ts'

let house: House
let templates: Templates

beforeEach(async () => {
  house = await openHouse()
  templates = house.server.templates
})

afterEach(() => house[Symbol.asyncDispose]())

const plain: Omit<BuildTemplate, 'name'> = {
  source: 'oci:alpine:3.20',
  steps: [{ kind: 'run', command: 'echo hello' }],
  limits: {},
  description: '',
  noCache: false,
  network: { kind: 'none' },
  buildLimits: {},
}
const request: CreateRequest = { limits: {}, network: { kind: 'none' }, env: {}, labels: {} }

const image = (name: string): ImageInfo => ({
  id: imageNamed(name),
  source: 'commit',
  platform: { os: 'linux', architecture: 'arm64', variant: 'v8' },
  base: 'scratch',
  layers: [{ diffId: imageNamed(name), bytes: 1_000 }],
  defaults: { env: { LANG: 'C' }, workdir: '/app', user: 'user', command: [] },
  fetchedAt: 0,
})

async function follow(id: string, scope = SCOPE, offset = 0): Promise<FollowedEvent[]> {
  return await Array.fromAsync(templates.follow(scope, id, offset, new AbortController().signal))
}

/** Builds it to its end. */
async function build(name: string, made: string, changes: Partial<BuildTemplate> = {}): Promise<string> {
  const id = await templates.build(SCOPE, { ...plain, ...changes, name })
  house.node.builds.tell(id, { type: 'done', image: image(made) })
  await follow(id)
  return id
}

const pins = async (): Promise<string[]> => (await house.node.images.list()).flatMap((one) => one.pins).toSorted()

describe('a template', () => {
  it('is there when its build is done, and is what sandboxes are made of', async () => {
    const start = { argv: ['serve'], ready: { kind: 'port', port: 80, timeoutMs: 1_000 } } as const
    const limits = { memoryBytes: { value: 1 << 28, required: false } }
    const id = await templates.build(SCOPE, { ...plain, name: 'web', start, limits })
    expect(house.node.builds.last).toMatchObject({
      from: { kind: 'source', source: 'oci:alpine:3.20' },
      steps: plain.steps,
      start,
    })
    await expect(templates.get(SCOPE, 'web')).rejects.toMatchObject({ code: 'template-not-found' })
    await expect(house.server.sandboxes.create(SCOPE, { ...request, template: 'web' })).rejects.toMatchObject({
      code: 'template-not-found',
    })
    const seen = follow(id)
    house.node.builds.tell(id, { type: 'step', index: 0, text: 'run echo hello', cached: false })
    house.node.builds.tell(id, { type: 'log', offset: 0, text: 'hello\n' })
    house.node.builds.tell(id, { type: 'done', image: image('web') })
    expect(await seen).toMatchObject([
      { type: 'step', index: 0 },
      { type: 'log', text: 'hello\n' },
      { type: 'done', template: { name: 'web', tag: 'latest', image: imageNamed('web') } },
    ])
    expect(await templates.get(SCOPE, 'web:latest')).toMatchObject({
      record: {
        bytes: 1_000,
        platform: 'linux/arm64/v8',
        env: { LANG: 'C' },
        workdir: '/app',
        user: 'user',
        steps: ['run echo hello'],
        build: id,
      },
    })
    expect(await pins()).toEqual([`build/${id}`, 'template/default/web:latest'])

    const { spec } = await house.server.sandboxes.create(SCOPE, { ...request, template: 'web' })
    expect(spec).toMatchObject({
      template: 'web',
      from: { kind: 'image', image: imageNamed('web') },
      start,
      limits: { memoryBytes: { value: 1 << 28 } },
    })
    const own = await house.server.sandboxes.create(SCOPE, {
      ...request,
      template: 'web',
      limits: { memoryBytes: { value: 1 << 26, required: true } },
    })
    expect(own.spec.limits.memoryBytes).toEqual({ value: 1 << 26, required: true })
  })

  it('is replaced by the next build of its name, and other tags stay', async () => {
    const first = await build('app:1.0', 'one')
    await build('app:2.0', 'two')
    await build('app:1.0', 'three')
    expect((await templates.list(SCOPE)).map((known) => ('record' in known ? known.record.image : 'host'))).toEqual([
      'host',
      imageNamed('three'),
      imageNamed('two'),
    ])
    await expect(follow(first)).rejects.toMatchObject({ code: 'build-not-found' })
    const { spec } = await house.server.sandboxes.create(SCOPE, { ...request, template: 'app:1.0' })
    expect(spec.from).toEqual({ kind: 'image', image: imageNamed('three') })
  })

  it('can stand on another, and takes its start command over', async () => {
    await build('base', 'one', { start: { argv: ['serve'] } })
    await templates.build(SCOPE, { ...plain, name: 'top', source: 'base' })
    expect(house.node.builds.last).toMatchObject({
      from: { kind: 'image', image: imageNamed('one') },
      start: { argv: ['serve'] },
    })
  })

  it('goes when it is deleted, twice too, and its image with it', async () => {
    const id = await build('app', 'one')
    await templates.delete(SCOPE, 'app')
    await templates.delete(SCOPE, 'app')
    expect(house.node.builds.builds.size).toBe(0)
    expect(await pins()).toEqual([`build/${id}`])
    await expect(templates.get(SCOPE, 'app')).rejects.toMatchObject({ code: 'template-not-found' })
    await expect(templates.delete(SCOPE, 'host')).rejects.toMatchObject({ code: 'invalid-argument' })
  })

  it('belongs to its project', async () => {
    const id = await build('app', 'one')
    const other = { project: 'other' }
    expect(await templates.list(other)).toMatchObject([{ fixed: { name: 'host' } }])
    await expect(templates.get(other, 'app')).rejects.toMatchObject({ code: 'template-not-found' })
    await expect(follow(id, other)).rejects.toMatchObject({ code: 'build-not-found' })
    await expect(templates.cancel(other, id)).rejects.toMatchObject({ code: 'build-not-found' })
    await templates.delete(other, 'app')
    expect(await templates.get(SCOPE, 'app')).toBeDefined()
  })
})

describe('a build', () => {
  it('has the limits of every sandbox, unless it names others', async () => {
    await house.server.close(0)
    const memoryBytes = { value: 1 << 28, required: false }
    const processes = { value: 100, required: false }
    house = await openHouse({ defaults: { limits: { memoryBytes, processes } } })
    templates = house.server.templates
    await templates.build(SCOPE, { ...plain, name: 'app', buildLimits: { processes: { value: 7, required: true } } })
    expect(house.node.builds.last.limits).toEqual({ memoryBytes, processes: { value: 7, required: true } })
  })

  it('that fails leaves the template as it was', async () => {
    await build('app', 'one')
    const id = await templates.build(SCOPE, { ...plain, name: 'app' })
    house.node.builds.tell(id, { type: 'failed', code: 'build-failed', message: 'no', fix: 'yes' })
    expect(await follow(id)).toEqual([{ type: 'failed', code: 'build-failed', message: 'no', fix: 'yes' }])
    expect(await templates.get(SCOPE, 'app')).toMatchObject({ record: { image: imageNamed('one') } })
  })

  it('whose image says more than can be kept fails for good, and the template before stays', async () => {
    await build('app', 'one')
    const id = await templates.build(SCOPE, { ...plain, name: 'app' })
    const huge = image('two')
    const env = { HUGE: 'x'.repeat(600_000) }
    house.node.builds.tell(id, { type: 'done', image: { ...huge, defaults: { ...huge.defaults, env } } })
    expect(await follow(id)).toMatchObject([{ type: 'failed', code: 'build-failed' }])
    expect(await templates.get(SCOPE, 'app')).toMatchObject({ record: { image: imageNamed('one') } })
    const pinned = (await house.node.images.list()).find(({ pins: names }) =>
      names.includes('template/default/app:latest'),
    )
    expect(pinned?.info.id).toBe(imageNamed('one'))
  })

  it('that ends while the one before is being deleted keeps the pin of its image', async () => {
    await build('app', 'one')
    const id = await templates.build(SCOPE, { ...plain, name: 'app' })
    const { images } = house.node
    const unpin = images.unpin.bind(images)
    const unpinning = Promise.withResolvers<void>()
    const goOn = Promise.withResolvers<void>()
    house.node.images.unpin = async (name) => {
      unpinning.resolve()
      await goOn.promise
      await unpin(name)
    }
    const deleting = templates.delete(SCOPE, 'app')
    await unpinning.promise
    house.node.builds.tell(id, { type: 'done', image: image('two') })
    // All that the end of the build can do before the delete has ended.
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
    goOn.resolve()
    await deleting
    await follow(id)
    expect(await templates.get(SCOPE, 'app')).toMatchObject({ record: { image: imageNamed('two') } })
    expect(await pins()).toContain('template/default/app:latest')
  })

  it('is cancelled', async () => {
    const id = await templates.build(SCOPE, { ...plain, name: 'app' })
    await templates.cancel(SCOPE, id)
    expect(await follow(id)).toMatchObject([{ type: 'failed', code: 'cancelled' }])
  })

  it('is brought to its end by the next server', async () => {
    const id = await templates.build(SCOPE, { ...plain, name: 'app' })
    await house.server.close(0)
    const { node, store } = house
    node.builds.tell(id, { type: 'done', image: image('one') })
    house = await openHouse({ node, store })
    templates = house.server.templates
    expect(await follow(id)).toMatchObject([{ type: 'done', template: { name: 'app' } }])
    expect(await templates.get(SCOPE, 'app')).toMatchObject({ record: { image: imageNamed('one') } })
  })

  it('that no node knows any more has failed', async () => {
    const id = await templates.build(SCOPE, { ...plain, name: 'app' })
    await house.server.close(0)
    const { node, store } = house
    await node.builds.remove(id)
    house = await openHouse({ node, store })
    templates = house.server.templates
    await templates.settled()
    await expect(follow(id)).rejects.toMatchObject({ code: 'build-not-found' })
    expect(await templates.list(SCOPE)).toHaveLength(1)
  })

  it('lets go of images whose template is gone, at the next start', async () => {
    await build('app', 'one')
    await house.node.images.pin('template/default/gone:latest', imageNamed('one'))
    await house.server.close(0)
    const { node, store } = house
    house = await openHouse({ node, store })
    expect(await pins()).not.toContain('template/default/gone:latest')
    expect(await pins()).toContain('template/default/app:latest')
  })
})

it('what projects that are gone have left is removed, and nothing else', async () => {
  await build('app', 'one')
  const gone = { project: 'gone' }
  const id = await templates.build(gone, { ...plain, name: 'app' })
  house.node.builds.tell(id, { type: 'done', image: image('two') })
  await follow(id, gone)
  const running = await templates.build(gone, { ...plain, name: 'more' })
  house.node.builds.tell(running, { type: 'failed', code: 'build-failed', message: 'no', fix: 'yes' })
  await templates.sweep()
  expect(await templates.list(gone)).toHaveLength(1)
  expect(house.node.builds.builds.has(id) || house.node.builds.builds.has(running)).toBe(false)
  expect(await pins()).not.toContain('template/gone/app:latest')
  expect(await templates.list(SCOPE)).toHaveLength(2)
})

describe('what is asked for', () => {
  it.each([
    'Web',
    '-web',
    'web-',
    'a'.repeat(64),
    'we b',
    'web:',
    'web:-',
    'web:a b',
    'a/b',
    'oci',
    'host',
    'debian:x',
    '',
  ])('has a proper name: not %j', async (name) => {
    await expect(templates.build(SCOPE, { ...plain, name })).rejects.toMatchObject({ code: 'invalid-argument' })
  })

  it.each([
    'directory:/srv/root',
    'tar:/srv/root.tar',
    'oci-layout:/srv/l',
    'dockerfile:/srv/app',
    'docker-archive:/a',
  ])('reads no files of the node, except for its operator: %s', async (source) => {
    await expect(templates.build(SCOPE, { ...plain, name: 'app', source })).rejects.toMatchObject({
      code: 'permission-denied',
    })
    await expect(house.server.sandboxes.create(SCOPE, { ...request, template: source })).rejects.toMatchObject({
      code: 'permission-denied',
    })
    const operator = { ...SCOPE, operator: true }
    await templates.build(operator, { ...plain, name: 'app', source })
    const { spec } = await house.server.sandboxes.create(operator, { ...request, template: source })
    expect(spec.from).toEqual({ kind: 'source', source })
  })

  it('can be a source as it stands', async () => {
    const { spec } = await house.server.sandboxes.create(SCOPE, {
      ...request,
      template: 'debian:bookworm+python3,curl',
    })
    expect(spec).toMatchObject({
      template: 'debian:bookworm+python3,curl',
      from: { kind: 'source', source: 'debian:bookworm+curl,python3' },
    })
    await expect(
      house.server.sandboxes.create(SCOPE, { ...request, template: 'debian:../../etc' }),
    ).rejects.toMatchObject({ code: 'invalid-argument' })
  })

  it('is nothing to a token of one sandbox', async () => {
    await build('app', 'one')
    const { spec } = await house.server.sandboxes.create(SCOPE, request)
    const token = { ...SCOPE, sandbox: spec.id }
    expect(await templates.list(token)).toHaveLength(1)
    await expect(templates.get(token, 'app')).rejects.toMatchObject({ code: 'template-not-found' })
    await expect(templates.build(token, { ...plain, name: 'x' })).rejects.toMatchObject({ code: 'permission-denied' })
    await expect(templates.delete(token, 'app')).rejects.toMatchObject({ code: 'permission-denied' })
  })

  it('is bounded: builds under way at once', async () => {
    for (let count = 0; count < 16; count++) await templates.build(SCOPE, { ...plain, name: `app-${count}` })
    await expect(templates.build(SCOPE, { ...plain, name: 'more' })).rejects.toMatchObject({ code: 'limit-reached' })
  })
})

it('says how an image of a registry is written, to whoever named it like a template', () => {
  expect(templateNotFound('alpine:3.20').fix).toContain('oci:alpine:3.20')
})
