import type { Change, KeyValue, Op, Store } from '@cove/domain'

/** Everything below a prefix as of one revision: watching from the one after it misses nothing. */
export async function readStore(
  store: Store,
  prefix: string,
): Promise<{ readonly items: readonly KeyValue[]; readonly revision: number }> {
  let page = await store.range({ prefix })
  const { revision } = page
  const items = [...page.items]
  while (page.more) {
    const after = page.items.at(-1)?.key ?? ''
    page = await store.range({ prefix, after, revision })
    items.push(...page.items)
  }
  return { items, revision }
}

/** What a transaction of one's own has changed, as a watch would tell it. */
export function changesOf(ops: readonly Op[], revision: number): readonly Change[] {
  return ops.map((op) =>
    op.type === 'delete'
      ? { type: 'delete', key: op.key }
      : { type: 'put', item: { key: op.key, value: op.value, createRevision: revision, modRevision: revision } },
  )
}
