import type { Duplex } from 'node:stream'

/** What comes out of a pipe is heard once: whoever has opened it before must not take what is meant for the next. */
export function newestOf(open: (signal: AbortSignal) => Promise<Duplex>): (signal: AbortSignal) => Promise<Duplex> {
  let newest: Duplex | undefined
  return async (signal) => {
    const stream = await open(signal)
    newest?.destroy()
    newest = stream
    return stream
  }
}
