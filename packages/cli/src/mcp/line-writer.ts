import type { Writable } from 'node:stream'

const EVENTS = ['drain', 'error', 'close'] as const

/** Writes lines to a stream; what it answers with resolves when there is room for more, or nobody reads any more. */
export function lineWriter(stream: Writable): (line: string) => Promise<void> {
  let room: Promise<void> | undefined
  return async (line) => {
    if (stream.destroyed || stream.write(`${line}\n`)) return
    // One wait for all that write meanwhile.
    room ??= roomIn(stream).finally(() => (room = undefined))
    await room
  }
}

function roomIn(stream: Writable): Promise<void> {
  return new Promise((resolve) => {
    const settle = (): void => {
      for (const event of EVENTS) stream.off(event, settle)
      resolve()
    }
    for (const event of EVENTS) stream.once(event, settle)
    if (stream.destroyed) settle()
  })
}
