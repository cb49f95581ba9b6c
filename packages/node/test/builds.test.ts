import { createHash } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { BuildEvent, BuildRequest, BuildStep } from '@cove/domain'
import type { CoveNode } from '../src/cove-node.ts'
import { FakeImages } from './support/fake-images.ts'
import { Host, quiet, type Daemon } from './support/harness.ts'

let folder: string
let images: FakeImages
let host: Host

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cove-test-builds-'))
  images = new FakeImages()
  host = new Host()
})

afterEach(async () => {
  await rm(folder, { recursive: true })
})

const open = (): Promise<Daemon> => host.open(host.parts(), { images, buildsFolder: folder })

function request(id: string, steps: readonly BuildStep[], changes: Partial<BuildRequest> = {}): BuildRequest {
  return {
    id,
    from: { kind: 'source', source: 'oci:base' },
    steps,
    network: { kind: 'none' },
    limits: {},
    ...changes,
  }
}

const run = (command: string): BuildStep => ({ kind: 'run', command })

async function follow(node: CoveNode, id: string, from = 0): Promise<BuildEvent[]> {
  return await Array.fromAsync(node.builds.follow(id, from, new AbortController().signal))
}

async function build(node: CoveNode, wish: BuildRequest): Promise<BuildEvent[]> {
  await node.builds.start(wish)
  return await follow(node, wish.id)
}

const textOf = (events: readonly BuildEvent[]): string =>
  events.map((event) => (event.type === 'log' ? event.text : '')).join('')

const cachedOf = (events: readonly BuildEvent[]): boolean[] =>
  events.flatMap((event) => (event.type === 'step' ? [event.cached] : []))

async function* bytes(...parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array, void> {
  yield* parts
}

const digestOf = (content: Uint8Array): string => `sha256:${createHash('sha256').update(content).digest('hex')}`

describe('a build', () => {
  it('does its steps in order, says so, and does none twice', async () => {
    const { node } = await open()
    const tar = Buffer.from('an archive')
    await node.builds.putContext(digestOf(tar), bytes(tar), new AbortController().signal)
    const steps: readonly BuildStep[] = [
      { kind: 'env', env: { GREETING: 'hello', SECRET: 'hush' } },
      { kind: 'workdir', path: 'tmp' },
      { kind: 'copy', context: digestOf(tar), to: 'data', owner: { uid: 1000, gid: 1000 } },
      { kind: 'user', user: 'user' },
      run('echo $GREETING from; pwd; id'),
      // Made, since it is not there; the one above was.
      { kind: 'workdir', path: 'made' },
    ]
    const first = await build(node, request('first', steps))
    expect(first.filter(({ type }) => type !== 'log')).toMatchObject([
      { type: 'step', index: 0, text: 'env GREETING SECRET', cached: false },
      { type: 'step', index: 1, text: 'workdir tmp' },
      { type: 'step', index: 2, text: 'copy to data' },
      { type: 'step', index: 3, text: 'user user' },
      { type: 'step', index: 4, text: 'run echo $GREETING from; pwd; id' },
      { type: 'step', index: 5, text: 'workdir made' },
      { type: 'done', image: { defaults: { env: { GREETING: 'hello' }, workdir: '/tmp/made', user: 'user' } } },
    ])
    expect(textOf(first)).toBe('hello from\n/tmp\n1000\n')
    expect(images.commits.map(({ content }) => content?.kind)).toEqual([
      undefined,
      undefined,
      'files',
      undefined,
      'tar',
      'tar',
    ])
    expect(images.commits[2]?.content).toMatchObject({ at: '/tmp/data', owner: { uid: 1000, gid: 1000 } })

    const second = await build(node, request('second', steps))
    expect(cachedOf(second)).toEqual(steps.map(() => true))
    expect(second.at(-1)).toEqual(first.at(-1))
    expect(images.commits).toHaveLength(6)
    expect(cachedOf(await build(node, request('third', [...steps, run('true')])))).toEqual([
      ...steps.map(() => true),
      false,
    ])
    expect(cachedOf(await build(node, request('fourth', steps, { noCache: true })))).toEqual(steps.map(() => false))
    expect(images.leased).toBe(0)
    expect(host.count).toEqual([0, 0])
    await node.close()
  })

  it('is done again where the image of a step is gone', async () => {
    const { node } = await open()
    await build(node, request('first', [run('echo once')]))
    await node.builds.remove('first')
    await images.collect()
    expect(images.images.size).toBe(0)
    expect(cachedOf(await build(node, request('second', [run('echo once')])))).toEqual([false])
    await node.close()
  })

  it('is asked for once however often it is asked for, and its result stays until it is removed', async () => {
    const { node } = await open()
    const wish = request('same', [run('echo once')])
    await Promise.all([node.builds.start(wish), node.builds.start(wish)])
    const events = await build(node, wish)
    expect(images.commits).toHaveLength(1)
    expect([...images.pins.keys()]).toEqual(['build/same'])
    expect(await follow(node, 'same', 2)).toEqual([{ type: 'log', offset: 2, text: 'ce\n' }, events.at(-1)])
    await node.builds.remove('same')
    await node.builds.remove('same')
    expect(images.pins.size).toBe(0)
    await expect(follow(node, 'same')).rejects.toMatchObject({ code: 'build-not-found' })
    expect(await readdir(join(folder, 'logs'))).toEqual([])
    await node.close()
  })

  it('without a step is the image it starts from, and of the host one that says so', async () => {
    const { node } = await open()
    expect((await build(node, request('plain', []))).at(-1)).toMatchObject({ image: { source: 'oci:base' } })
    const ofHost = await build(node, request('host', [], { from: { kind: 'host' } }))
    expect(ofHost.at(-1)).toMatchObject({ type: 'done', image: { base: 'host' } })
    await node.close()
  })

  it.each<[string, Partial<BuildRequest>, string, string]>([
    ['a command fails', { steps: [run('echo so far; exit 7')] }, 'build-failed', 'exited with code 7'],
    ['its source is not there', { from: { kind: 'source', source: 'oci:missing' } }, 'image-not-found', 'oci:missing'],
    ['no driver has that name', { driver: 'moon', steps: [run('true')] }, 'isolation-unavailable', 'moon'],
    [
      'its context is not there',
      { steps: [{ kind: 'copy', context: digestOf(Buffer.from('?')), to: '/' }] },
      'invalid-argument',
      'is not here',
    ],
    [
      'its start command fails',
      { start: { argv: ['sh', '-c', 'echo no luck; exit 3'], ready: { kind: 'port', port: 80, timeoutMs: 60_000 } } },
      'start-failed',
      'no luck',
    ],
  ])('fails with the reason when %s, and leaves nothing', async (_name, changes, code, message) => {
    const { node } = await open()
    const events = await build(node, request('bad', [], changes))
    expect(events.at(-1)).toMatchObject({ type: 'failed', code, message: expect.stringContaining(message) })
    expect(images.leased).toBe(0)
    expect(images.pins.size).toBe(0)
    await quiet()
    expect(host.count).toEqual([0, 0])
    await node.close()
  })

  it('is cancelled in the middle of a command', async () => {
    const { node } = await open()
    await node.builds.start(request('long', [run('echo started; sleep infinity')]))
    const seen = follow(node, 'long')
    while (host.world.machines.size === 0 || [...host.world.machines.values()][0]?.guest.processes.size === 0) {
      await quiet(1)
    }
    await node.builds.cancel('long')
    expect((await seen).at(-1)).toMatchObject({ type: 'failed', code: 'cancelled', message: 'the build was cancelled' })
    expect(host.count).toEqual([0, 0])
    expect(images.leased).toBe(0)
    await node.close()
  })

  it('has failed when its daemon was killed, keeps what it said, and leaves no machine', async () => {
    const first = await open()
    await first.node.builds.start(request('cut', [run('echo said'), run('sleep infinity')]))
    while ((await readdir(join(folder, 'logs'))).length < 2 || images.commits.length === 0 || host.count[0] === 0) {
      await quiet(1)
    }
    first.fuse.die()
    const { node } = await open()
    await node.settled()
    const events = await follow(node, 'cut')
    expect(textOf(events)).toBe('said\n')
    expect(events.at(-1)).toMatchObject({ type: 'failed', message: 'Cove was stopped during the build' })
    expect(host.count).toEqual([0, 0])
    const again = await build(node, request('again', [run('echo said'), run('true')]))
    expect(cachedOf(again)).toEqual([true, false])
    await node.close()
  })

  it('ends with its daemon, which waits for the machine to be gone', async () => {
    const { node } = await open()
    await node.builds.start(request('long', [run('sleep infinity')]))
    while (host.count[0] === 0) await quiet(1)
    await node.close()
    expect(host.count).toEqual([0, 0])
    const next = await open()
    expect((await follow(next.node, 'long')).at(-1)).toMatchObject({ code: 'cancelled' })
    await next.node.close()
  })

  it('waits in line while two others are under way', async () => {
    const { node } = await open()
    for (const id of ['one', 'two', 'three']) await node.builds.start(request(id, [run(`echo ${id}; sleep 5`)]))
    while (host.count[0] < 2) await quiet(1)
    await quiet(50)
    expect(host.count[0]).toBe(2)
    await node.builds.cancel('one')
    while (host.count[0] < 2) await quiet(1)
    await node.builds.cancel('two')
    await host.clock.advance(10_000)
    const seen = follow(node, 'three')
    await host.clock.advance(10_000)
    expect((await seen).at(-1)).toMatchObject({ type: 'done' })
    await node.close()
  })
})

describe('build contexts', () => {
  it('are what their digest says, or refused with nothing left', async () => {
    const { node } = await open()
    const { signal } = new AbortController()
    const content = Buffer.from('content')
    const digest = digestOf(content)
    await expect(node.builds.putContext(digest, bytes(Buffer.from('other')), signal)).rejects.toMatchObject({
      code: 'invalid-argument',
    })
    await expect(node.builds.putContext('sha256:../../etc', bytes(content), signal)).rejects.toMatchObject({
      code: 'invalid-argument',
    })
    expect(await node.builds.hasContext(digest)).toBe(false)
    expect(await readdir(join(folder, 'contexts'))).toEqual([])
    await node.builds.putContext(digest, bytes(content), signal)
    expect(await node.builds.hasContext(digest)).toBe(true)
    await node.close()
  })

  it('are received a few at once, so that what is not there yet cannot fill the disk', async () => {
    const { node } = await open()
    const leave = new AbortController()
    const stalled = async function* (): AsyncGenerator<Uint8Array> {
      yield Buffer.from('begun')
      await new Promise((_, reject) => leave.signal.addEventListener('abort', () => reject(leave.signal.reason)))
    }
    const { signal } = leave
    const receiving = Array.from({ length: 8 }, (_, n) =>
      node.builds.putContext(digestOf(Buffer.from([n])), stalled(), signal),
    )
    const ended = Promise.allSettled(receiving)
    const content = Buffer.from('content')
    const send = () => node.builds.putContext(digestOf(content), bytes(content), new AbortController().signal)
    await expect.poll(() => readdir(join(folder, 'contexts'))).toHaveLength(8)
    await expect(send()).rejects.toMatchObject({ code: 'busy' })
    leave.abort()
    await ended
    await send()
    expect(await readdir(join(folder, 'contexts'))).toEqual([digestOf(content).slice(7)])
    await node.close()
  })

  it('go a day after their last use', async () => {
    const { node } = await open()
    const { signal } = new AbortController()
    const [old, fresh] = [Buffer.from('old'), Buffer.from('fresh')]
    await node.builds.putContext(digestOf(old), bytes(old), signal)
    await host.clock.advance(23 * 3_600_000)
    expect(await node.builds.hasContext(digestOf(old))).toBe(true)
    await host.clock.advance(25 * 3_600_000)
    await node.builds.putContext(digestOf(fresh), bytes(fresh), signal)
    expect(await readdir(join(folder, 'contexts'))).toEqual([digestOf(fresh).slice(7)])
    await node.close()
  })
})
