import type { Readable } from 'node:stream'

/** A line that was longer than allowed, and is left out. */
export const TOO_LONG = Symbol('too long')

/** The lines of a stream, without empty ones. */
export async function* linesOf(input: Readable, mostBytes: number): AsyncGenerator<string | typeof TOO_LONG> {
  let pieces: Buffer[] = []
  let bytes = 0
  let skipping = false
  const take = (): string => {
    const line = Buffer.concat(pieces, bytes).toString('utf8').trim()
    pieces = []
    bytes = 0
    return line
  }
  for await (const chunk of input as AsyncIterable<Buffer | string>) {
    const data = typeof chunk === 'string' ? Buffer.from(chunk) : chunk
    let from = 0
    for (let end = data.indexOf(10); end >= 0; end = data.indexOf(10, from)) {
      const part = data.subarray(from, end)
      from = end + 1
      if (skipping) {
        skipping = false
        continue
      }
      if (bytes + part.length > mostBytes) {
        take()
        yield TOO_LONG
        continue
      }
      pieces.push(part)
      bytes += part.length
      const line = take()
      if (line !== '') yield line
    }
    if (skipping || from === data.length) continue
    const rest = data.subarray(from)
    if (bytes + rest.length > mostBytes) {
      take()
      skipping = true
      yield TOO_LONG
    } else {
      pieces.push(rest)
      bytes += rest.length
    }
  }
  const last = skipping ? '' : take()
  if (last !== '') yield last
}
