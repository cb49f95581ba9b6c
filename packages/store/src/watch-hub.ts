import { CoveError, type Change, type WatchBatch, type WatchRequest } from '@cove/domain'
import { checkWatch } from './check-request.ts'

/** A piece of history: everything under the prefix from the asked revision up to, not including, `next`. */
export interface HistoryPage {
  readonly batches: readonly WatchBatch[]
  /** First revision that the page does not cover. */
  readonly next: number
  /** The newest revision when the page was read. */
  readonly newest: number
}

/**
 * Reads history. `done` is called at the very moment, between two publications, at which the page is the truth:
 * only so does a watcher go from history to live changes without a gap. The promise tells of failures.
 */
export type ReadHistory = (prefix: string, from: number, done: (page: HistoryPage) => void) => Promise<void>

const BUFFERED_BATCHES = 128
const BUFFERED_BYTES = 1024 * 1024

/** Hands changes to watchers; one that falls behind drops to reading history instead of filling memory. */
export class WatchHub {
  readonly #readHistory: ReadHistory
  readonly #watchers = new Set<Watcher>()
  #failure: CoveError | undefined

  constructor(readHistory: ReadHistory) {
    this.#readHistory = readHistory
  }

  /** When false, nobody needs to be told anything. */
  get watched(): boolean {
    return this.#watchers.size > 0
  }

  /** Revisions come in order, each once. */
  publish(revision: number, changes: readonly Change[]): void {
    for (const watcher of this.#watchers) watcher.offer(revision, changes)
  }

  /** Ends every watch, now and later, with this error. */
  fail(error: CoveError): void {
    this.#failure ??= error
    for (const watcher of this.#watchers) watcher.wake()
  }

  async *watch(request: WatchRequest): AsyncGenerator<WatchBatch, void, undefined> {
    checkWatch(request)
    const { prefix, fromRevision, signal } = request
    const watcher = new Watcher(prefix, fromRevision)
    const wake = () => watcher.wake()
    signal.addEventListener('abort', wake)
    this.#watchers.add(watcher)
    try {
      while (!signal.aborted) {
        if (this.#failure !== undefined) throw this.#failure
        const batch = watcher.take()
        if (batch !== undefined) yield batch
        else if (watcher.live) await watcher.woken()
        else await this.#readHistory(prefix, watcher.next, (page) => watcher.fill(page))
      }
    } finally {
      this.#watchers.delete(watcher)
      signal.removeEventListener('abort', wake)
    }
  }
}

class Watcher {
  readonly prefix: string
  /** First revision that is neither delivered nor buffered. */
  next: number
  /** True while every revision before `next` is delivered or buffered and new ones are offered in time. */
  live = false
  readonly #buffer: WatchBatch[] = []
  #bufferedBytes = 0
  #wake: (() => void) | undefined

  constructor(prefix: string, from: number) {
    this.prefix = prefix
    this.next = from
  }

  offer(revision: number, changes: readonly Change[]): void {
    if (!this.live || revision < this.next) return
    const mine = changes.filter((change) => keyOf(change).startsWith(this.prefix))
    if (mine.length > 0) {
      const bytes = sizeOf(mine)
      const full = this.#buffer.length >= BUFFERED_BATCHES || this.#bufferedBytes + bytes > BUFFERED_BYTES
      if (full && this.#buffer.length > 0) {
        this.live = false
        return
      }
      this.#buffer.push({ revision, changes: mine })
      this.#bufferedBytes += bytes
      this.wake()
    }
    this.next = revision + 1
  }

  fill(page: HistoryPage): void {
    for (const batch of page.batches) {
      this.#buffer.push(batch)
      this.#bufferedBytes += sizeOf(batch.changes)
    }
    this.next = Math.max(this.next, page.next)
    this.live = this.next > page.newest
  }

  take(): WatchBatch | undefined {
    const batch = this.#buffer.shift()
    if (batch !== undefined) this.#bufferedBytes -= sizeOf(batch.changes)
    return batch
  }

  wake(): void {
    this.#wake?.()
    this.#wake = undefined
  }

  woken(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }
}

function keyOf(change: Change): string {
  return change.type === 'put' ? change.item.key : change.key
}

function sizeOf(changes: readonly Change[]): number {
  let bytes = 0
  for (const change of changes) {
    bytes += keyOf(change).length + 64 + (change.type === 'put' ? change.item.value.byteLength : 0)
  }
  return bytes
}
