import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { CoveError, type Compare, type Store, type WatchBatch } from '@cove/domain'
import { put, remove, show, stateOf, textOf, type WithStore } from './fixture.ts'
import { Reference } from './reference.ts'
import { steps, type Step } from './steps.ts'

export function model(withStore: WithStore): void {
  it(
    'agrees with the model, whatever is asked of it',
    withStore(async ({ store }) => {
      const abort = new AbortController()
      const live: string[] = []
      const following = follow(store, abort.signal, live)
      // Seen below; until then a failure of the property is the better news.
      following.catch(() => {})
      const reference = new Reference()
      await fc.assert(
        fc.asyncProperty(steps, async (walk) => {
          for (const step of walk) {
            const wanted = wantedOf(step, reference)
            expect(await answerOf(step, store, wanted)).toEqual(wanted.answer)
          }
        }),
        { numRuns: 300 },
      )
      await store.txn([], [put('end', '')])
      reference.txn([], [put('end', '')])
      await following
      expect(live).toEqual(reference.changes('', 2))
      const { items, revision } = await stateOf(store)
      expect(revision).toBe(reference.revision)
      expect(items.map(showItem)).toEqual(reference.listing('', revision))
    }),
  )
}

/** What the reference says, and the exact question: the revision and compares that a step means at that moment. */
interface Wanted {
  readonly revision: number
  readonly compare: readonly Compare[]
  readonly answer: unknown
}

function wantedOf(step: Step, reference: Reference): Wanted {
  if (step.do === 'txn') {
    const compare = step.compare.map((each) => compareOf(each, reference))
    const ok = reference.txn(compare, step.ops.map(opOf))
    return { revision: 0, compare, answer: { ok, revision: reference.revision } }
  }
  const revision = Math.max(1, reference.revision - step.back)
  const wanted = (answer: unknown): Wanted => ({ revision, compare: [], answer })
  switch (step.do) {
    case 'range':
      return wanted(revision < reference.compacted ? 'store-compacted' : reference.listing(step.prefix, revision))
    case 'watch':
      return wanted(revision <= reference.compacted ? 'store-compacted' : reference.changes(step.prefix, revision))
    case 'compact':
      reference.compacted = Math.max(reference.compacted, revision)
      return wanted('done')
  }
}

async function answerOf(step: Step, store: Store, { revision, compare, answer }: Wanted): Promise<unknown> {
  try {
    switch (step.do) {
      case 'txn':
        return await store.txn(compare, step.ops.map(opOf))
      case 'range':
        return await readAll(store, step.prefix, revision, step.limit)
      case 'watch':
        return await firstBatches(store, step.prefix, revision, Array.isArray(answer) ? answer.length : 0)
      case 'compact':
        await store.compact(revision)
        return 'done'
    }
  } catch (error) {
    return CoveError.from(error).code
  }
}

function opOf(op: { key: string; text?: string }) {
  return op.text === undefined ? remove(op.key) : put(op.key, op.text)
}

function compareOf(each: { key: string; how: 'absent' | 'exists' | 'right' | 'wrong' }, reference: Reference): Compare {
  const { key, how } = each
  if (how === 'absent') return { key, absent: true }
  if (how === 'exists') return { key, exists: true }
  const modRevision = reference.at(reference.revision).get(key)?.modRevision ?? 0
  return { key, modRevision: how === 'right' ? modRevision : modRevision + 1 }
}

async function follow(store: Store, signal: AbortSignal, told: string[]): Promise<void> {
  for await (const batch of store.watch({ prefix: '', fromRevision: 1, signal })) {
    told.push(show(batch))
    if (batch.changes.some((change) => change.type === 'put' && change.item.key === 'end')) return
  }
}

async function readAll(store: Store, prefix: string, revision: number, limit: number): Promise<string[]> {
  const items: string[] = []
  let after: string | undefined
  for (;;) {
    const page = await store.range({ prefix, revision, limit, ...(after === undefined ? {} : { after }) })
    items.push(...page.items.map(showItem))
    after = page.items.at(-1)?.key
    if (!page.more) return items
  }
}

/** Reads one batch further than is due, for a moment, so that what should not come is seen too. */
async function firstBatches(store: Store, prefix: string, from: number, count: number): Promise<string[]> {
  const abort = new AbortController()
  const batches: WatchBatch[] = []
  const iterator = store.watch({ prefix, fromRevision: from, signal: abort.signal })[Symbol.asyncIterator]()
  while (batches.length < count) {
    const next = await iterator.next()
    if (next.done === true) break
    batches.push(next.value)
  }
  const beyond = iterator.next()
  // The store answers in order: once this is here, what it has for the watch is here as well.
  await store.get('a')
  abort.abort()
  const rest = await beyond
  return [...batches, ...(rest.done === true ? [] : [rest.value])].map(show)
}

function showItem(item: Parameters<typeof textOf>[0] & object): string {
  return `${item.key}=${textOf(item)}@${item.createRevision}/${item.modRevision}`
}
