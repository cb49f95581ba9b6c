import { createHash } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { CoveError } from '@cove/domain'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Containerd } from './containerd.ts'
import { isNotFound, isUnreachable } from './containerd-error.ts'
import type { ContainerdEvent } from './events.ts'
import { missingForContainerd, TestContainerd } from './testing/index.ts'

const missing = missingForContainerd()
const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'no error',
    (error: unknown) => (error instanceof CoveError ? error.code : `not a CoveError: ${String(error)}`),
  )

async function* parts(...texts: readonly string[]): AsyncIterable<Uint8Array> {
  for (const text of texts) yield await Promise.resolve(Buffer.from(text))
}

async function* broken(): AsyncIterable<Uint8Array> {
  yield* parts('begun')
  throw new CoveError('no-space', 'as the test wants it')
}

const blobOf = (text: string) => ({
  digest: `sha256:${createHash('sha256').update(text).digest('hex')}`,
  bytes: Buffer.byteLength(text),
})

describe.skipIf(missing !== undefined)(`containerd${missing === undefined ? '' : ` (skipped: ${missing})`}`, () => {
  let daemon: TestContainerd
  let containerd: Containerd
  beforeAll(async () => {
    daemon = await TestContainerd.start()
    containerd = daemon.open('cove-test')
    await containerd.createNamespace('cove-test', { 'cove.installation': 'test' })
  })
  afterAll(async () => {
    containerd.close()
    await daemon[Symbol.asyncDispose]()
  })

  it('tells its version and what it is made of', async () => {
    expect(await containerd.version()).toMatch(/^[12]\.\d/)
    const plugins = await containerd.plugins()
    expect(plugins.find(({ id }) => id === 'overlayfs')).toEqual({
      type: 'io.containerd.snapshotter.v1',
      id: 'overlayfs',
    })
  })

  it('keeps namespaces apart', async () => {
    using other = daemon.open('cove-other')
    await other.createNamespace('cove-other', {})
    await containerd.leases.create('mine', { color: 'red' })
    expect(await containerd.leases.list()).toEqual([{ id: 'mine', labels: { color: 'red' } }])
    expect(await other.leases.list()).toEqual([])
    expect(await codeOf(containerd.leases.create('mine', {}))).toBe('already-exists')
    await containerd.leases.delete('mine', { sync: true })
    await other.deleteNamespace('cove-other')
    expect(await containerd.listNamespaces()).not.toContain('cove-other')
  })

  it('stores blobs that are what their names say, and nothing else', async () => {
    await containerd.leases.create('blobs', {})
    const call = { lease: 'blobs' }
    const blob = blobOf('one two')
    expect(await containerd.content.write('a', blob, parts('one ', 'two'), call)).toBe(true)
    expect(await containerd.content.write('b', blob, parts('one two'), call)).toBe(false)
    expect(Buffer.from(await containerd.content.read(blob.digest, 100)).toString()).toBe('one two')
    expect(await codeOf(containerd.content.read(blob.digest, 3))).toBe('image-invalid')
    expect(await codeOf(containerd.content.write('c', blobOf('other'), parts('wrong'), call))).toBe('wrong-state')
    expect(await codeOf(containerd.content.write('d', blobOf('long'), parts('lo'), call))).toBe('wrong-state')
    const large = 'x'.repeat(5_000_000)
    expect(await containerd.content.write('e', blobOf(large), parts(large), call)).toBe(true)
    expect(await containerd.content.ingests()).toEqual([])
    await containerd.leases.delete('blobs', { sync: true })
    expect(await containerd.content.list()).toEqual([])
  })

  it('gives up a blob when its source breaks or its caller leaves', async () => {
    expect(await codeOf(containerd.content.write('broken', blobOf('begun and done'), broken(), {}))).toBe('no-space')
    const leaving = new AbortController()
    const endless = async function* () {
      for (;;) {
        yield* parts('more')
        await pause(1)
        leaving.abort()
      }
    }
    const call = { signal: leaving.signal }
    expect(await codeOf(containerd.content.write('endless', blobOf('never'), endless(), call))).toBe('cancelled')
    expect(await containerd.content.ingests()).toEqual([])
  })

  it('says what is not there, what is refused and what takes too long', async () => {
    const unknown = await containerd.tasks.get('unknown').catch((error: unknown) => error)
    expect(isNotFound(unknown)).toBe(true)
    expect(await codeOf(containerd.containers.get('unknown'))).toBe('container-not-found')
    expect(await codeOf(containerd.snapshots.prepare('child', 'no-parent', {}))).toBe('container-not-found')
    expect(await codeOf(containerd.leases.create('', {}))).not.toBe('not a CoveError')
    expect(await codeOf(containerd.version({ signal: AbortSignal.abort() }))).toBe('cancelled')
    await containerd.snapshots.prepare('kept', '', { 'containerd.io/gc.root': 'test' })
    expect(await codeOf(containerd.snapshots.prepare('kept', '', {}))).toBe('already-exists')
    expect(await containerd.snapshots.stat('kept')).toMatchObject({ key: 'kept', kind: 'active', parent: '' })
    await containerd.snapshots.remove('kept')
  })

  it('tells what happens, and breaks off when it ends', async () => {
    const heard: ContainerdEvent[] = []
    const listening = (async () => {
      for await (const event of containerd.events.subscribe(['/cove/test', '/tasks/exit'])) heard.push(event)
    })()
    const ended = codeOf(listening)
    while (heard.length === 0) {
      await containerd.events.publish('/cove/other')
      await containerd.events.publish('/cove/test')
      await pause(5)
    }
    expect(heard[0]).toEqual({ kind: 'other', topic: '/cove/test' })
    await daemon.kill()
    expect(await ended).toBe('driver-failed')
    await daemon.restart()
  })

  it('is reached again after it was killed', async () => {
    await daemon.kill()
    const away = await containerd.version().catch((error: unknown) => error)
    expect(isUnreachable(away)).toBe(true)
    expect(away).toMatchObject({ code: 'driver-failed', fix: expect.stringContaining('containerd') as string })
    await daemon.restart()
    expect(await containerd.version()).not.toBe('')
  })

  it('is not there where nobody listens', async () => {
    using nobody = new Containerd({ address: '/nonexistent/containerd.sock', namespace: 'cove' })
    expect(await codeOf(nobody.version())).toBe('driver-failed')
  })

  it('answers nobody who has closed', async () => {
    const closing = daemon.open('cove-test')
    const waiting = codeOf(Array.fromAsync(closing.events.subscribe(['/cove/never'])))
    await closing.version()
    closing.close()
    expect(await waiting).not.toBe('no error')
  })
})
