import { CoveError, type NodeEvent } from '@cove/domain'

/** Events that one watcher may leave unread before it is told to look again. */
const QUEUE = 4096
const WATCHERS = 64

interface Watcher {
  readonly queue: NodeEvent[]
  overflown: boolean
  wake: () => void
}

/** Tells every watcher of machines that end. A slow watcher loses its place, never an event in silence. */
export class Events {
  readonly #watchers = new Set<Watcher>()

  emit(event: NodeEvent): void {
    for (const watcher of this.#watchers) {
      if (watcher.queue.length < QUEUE) watcher.queue.push(event)
      else watcher.overflown = true
      watcher.wake()
    }
  }

  /**
   * Hears everything from this call on, also before the first `next`. Ends with the signal; fails with
   * `limit-reached` when the reader fell too far behind or there are too many watchers.
   */
  watch(signal: AbortSignal): AsyncIterable<NodeEvent> {
    if (this.#watchers.size >= WATCHERS) {
      throw new CoveError('limit-reached', `${WATCHERS} watchers listen to this node already`, { limit: WATCHERS })
    }
    const watcher: Watcher = { queue: [], overflown: false, wake: () => {} }
    if (!signal.aborted) {
      this.#watchers.add(watcher)
      signal.addEventListener('abort', () => this.#watchers.delete(watcher), { once: true })
    }
    return this.#read(watcher, signal)
  }

  async *#read(watcher: Watcher, signal: AbortSignal): AsyncGenerator<NodeEvent, void> {
    const wake = (): void => watcher.wake()
    signal.addEventListener('abort', wake, { once: true })
    try {
      while (!signal.aborted) {
        const event = watcher.queue.shift()
        if (event !== undefined) {
          // A copy: what a caller gets is never shared with another.
          yield { ...event, exit: { ...event.exit } }
        } else if (watcher.overflown) {
          throw new CoveError(
            'limit-reached',
            `more than ${QUEUE} events were left unread`,
            { limit: QUEUE },
            {
              fix: 'List the sandboxes of the node and watch again.',
            },
          )
        } else {
          await new Promise<void>((resolve) => {
            watcher.wake = resolve
          })
        }
      }
    } finally {
      signal.removeEventListener('abort', wake)
      this.#watchers.delete(watcher)
    }
  }
}
