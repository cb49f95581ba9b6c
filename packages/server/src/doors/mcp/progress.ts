/** Tells a client that a long call is still alive, when it has asked to be told. */
export interface Progress {
  /**
   * From now on tells it what `describe` says, once a second, until the returned object is disposed. Does nothing for
   * a client that has not asked.
   */
  watch(describe: () => string): Disposable
}

export interface ProgressNote {
  /** Seconds since the call began; always more than before. */
  readonly progress: number
  readonly message: string
}

const EVERY_MS = 1_000

export const noProgress: Progress = { watch: () => ({ [Symbol.dispose]: () => undefined }) }

export function openProgress(tell: (note: ProgressNote) => void): Progress {
  const began = performance.now()
  let last = -1
  const note = (message: string): void => {
    const progress = Math.max(Math.round(performance.now() - began) / 1000, last + 0.001)
    last = progress
    tell({ progress, message })
  }
  return {
    watch(describe) {
      note(describe())
      const timer = setInterval(() => note(describe()), EVERY_MS)
      return { [Symbol.dispose]: () => clearInterval(timer) }
    },
  }
}
