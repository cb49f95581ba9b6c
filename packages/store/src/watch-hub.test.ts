import { describe, expect, it } from 'vitest'
import type { Change } from '@cove/domain'
import { storeClosed } from './store-errors.ts'
import { WatchHub, type HistoryPage } from './watch-hub.ts'

/** A log of single puts that counts how often it is read. */
class Log {
  newest = 0
  reads = 0
  readonly hub = new WatchHub(async (_, from, done) => {
    this.reads += 1
    done(this.page(from))
  })

  write(bytes = 1): void {
    this.newest += 1
    this.hub.publish(this.newest, [changeAt(this.newest, bytes)])
  }

  page(from: number): HistoryPage {
    const end = Math.max(from, Math.min(from + 10, this.newest + 1))
    const batches = Array.from({ length: end - from }, (_, i) => ({
      revision: from + i,
      changes: [changeAt(from + i, 1)],
    }))
    return { batches, next: end, newest: this.newest }
  }
}

function changeAt(revision: number, bytes: number): Change {
  const value = new Uint8Array(bytes)
  return { type: 'put', item: { key: 'k', value, createRevision: 1, modRevision: revision } }
}

describe('WatchHub', () => {
  it.each([
    ['batches', 1, 128],
    ['bytes', 100_000, 10],
  ])('keeps a bounded number of %s for a slow reader, who reads the rest from history', async (_, bytes, kept) => {
    const log = new Log()
    const abort = new AbortController()
    const watch = log.hub.watch({ prefix: '', fromRevision: 1, signal: abort.signal })
    const first = watch.next()
    await Promise.resolve()
    log.write(bytes)
    expect((await first).value).toMatchObject({ revision: 1 })
    expect(log.reads).toBe(1)
    for (let i = 0; i < 1000; i++) log.write(bytes)
    const live: number[] = []
    while (log.reads === 1) live.push((await next(watch)).revision)
    expect(live.length - 1).toBe(kept)
    const rest: number[] = []
    while (live.length + rest.length < 1000) rest.push((await next(watch)).revision)
    expect([...live, ...rest]).toEqual(Array.from({ length: 1000 }, (_each, i) => i + 2))
    // Having caught up, it is told live again.
    const reads = log.reads
    const waiting = next(watch)
    await Promise.resolve()
    log.write()
    expect((await waiting).revision).toBe(1002)
    expect(log.reads - reads).toBeLessThanOrEqual(1)
  })

  it('gives a batch that is larger than the buffer whole', async () => {
    const log = new Log()
    const watch = log.hub.watch({ prefix: '', fromRevision: 1, signal: new AbortController().signal })
    const first = next(watch)
    await Promise.resolve()
    log.write(3_000_000)
    expect((await first).changes[0]).toMatchObject({ item: { value: { byteLength: 3_000_000 } } })
  })

  it('holds no watcher once its loop was left, its signal aborted or the hub failed', async () => {
    const log = new Log()
    const abort = new AbortController()
    log.write()
    for await (const _batch of log.hub.watch({ prefix: '', fromRevision: 1, signal: abort.signal })) break
    expect(log.hub.watched).toBe(false)

    const waiting = log.hub.watch({ prefix: '', fromRevision: 2, signal: abort.signal }).next()
    expect(log.hub.watched).toBe(true)
    abort.abort()
    expect(await waiting).toEqual({ done: true, value: undefined })
    expect(log.hub.watched).toBe(false)

    const failing = log.hub.watch({ prefix: '', fromRevision: 2, signal: new AbortController().signal }).next()
    log.hub.fail(storeClosed())
    await expect(failing).rejects.toMatchObject({ code: 'store-closed' })
    expect(log.hub.watched).toBe(false)
  })
})

async function next(watch: ReturnType<WatchHub['watch']>) {
  const result = await watch.next()
  if (result.done === true) throw new Error('the watch ended early')
  return result.value
}
