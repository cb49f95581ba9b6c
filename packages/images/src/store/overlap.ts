/**
 * Does something with all items at the same time. When one fails the others are stopped, and all have come to their end
 * before this rejects; what those had made that did not fail is disposed of.
 */
export async function overlap<Item, Result extends Disposable>(
  signal: AbortSignal,
  items: readonly Item[],
  work: (item: Item, at: number, signal: AbortSignal) => Promise<Result>,
): Promise<Result[]> {
  const stop = new AbortController()
  const either = AbortSignal.any([signal, stop.signal])
  let first: { readonly error: unknown } | undefined
  const settled = await Promise.all(
    items.map(async (item, at) => {
      try {
        return await work(item, at, either)
      } catch (error) {
        first ??= { error }
        stop.abort(error)
        return undefined
      }
    }),
  )
  const results = settled.filter((result) => result !== undefined)
  if (first === undefined) return results
  for (const result of results) result[Symbol.dispose]()
  throw first.error
}
