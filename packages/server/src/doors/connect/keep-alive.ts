/** Passes items on, and a sign of life whenever about `ms` milliseconds have passed without one. */
export async function* withKeepAlive<Item>(
  items: AsyncIterable<Item>,
  ms: number,
  signOfLife: () => Item,
): AsyncGenerator<Item> {
  const iterator = items[Symbol.asyncIterator]()
  let silent = false
  let wake: ((nothing: undefined) => void) | undefined
  // One timer for the whole stream: a timer for each item would cost more than the item.
  const timer = setInterval(() => {
    if (silent) wake?.(undefined)
    silent = true
  }, ms)
  let finished = false
  try {
    for (;;) {
      const pending = iterator.next()
      let result: IteratorResult<Item> | undefined
      for (;;) {
        result = await new Promise<IteratorResult<Item> | undefined>((resolve, reject) => {
          wake = resolve
          pending.then(resolve, reject)
        })
        if (result !== undefined) break
        yield signOfLife()
      }
      silent = false
      if (result.done === true) {
        finished = true
        return
      }
      yield result.value
    }
  } finally {
    clearInterval(timer)
    if (!finished) await iterator.return?.()
  }
}
