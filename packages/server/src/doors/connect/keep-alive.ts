/** Passes items on, and a sign of life whenever `ms` milliseconds pass without one. */
export async function* withKeepAlive<Item>(
  items: AsyncIterable<Item>,
  ms: number,
  signOfLife: () => Item,
): AsyncGenerator<Item> {
  const iterator = items[Symbol.asyncIterator]()
  let finished = false
  try {
    for (;;) {
      const pending = iterator.next()
      let result = await orSilence(pending, ms)
      while (result === undefined) {
        yield signOfLife()
        result = await orSilence(pending, ms)
      }
      if (result.done === true) {
        finished = true
        return
      }
      yield result.value
    }
  } finally {
    if (!finished) await iterator.return?.()
  }
}

function orSilence<Result>(pending: Promise<Result>, ms: number): Promise<Result | undefined> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms, undefined)
    pending.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
