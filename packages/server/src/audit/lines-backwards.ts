import type { FileHandle } from 'node:fs/promises'

export interface Line {
  /** Of its first byte in the file. */
  readonly offset: number
  readonly bytes: Buffer
}

const CHUNK_BYTES = 128 * 1024

/** The lines of a file that begin before `end`, from the last to the first, without their line ends. */
export async function* linesBackwards(file: FileHandle, end: number): AsyncGenerator<Line> {
  let rest: Buffer = Buffer.alloc(0)
  for (let at = end; at > 0;) {
    const from = Math.max(0, at - CHUNK_BYTES)
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(at - from), 0, at - from, from)
    if (bytesRead < at - from) return
    at = from
    const whole = rest.length === 0 ? buffer : Buffer.concat([buffer, rest])
    let to = rest.length === 0 && whole.at(-1) === 10 ? whole.length - 1 : whole.length
    for (;;) {
      const before = to === 0 ? -1 : whole.lastIndexOf(10, to - 1)
      if (before < 0) break
      yield { offset: from + before + 1, bytes: whole.subarray(before + 1, to) }
      to = before
    }
    rest = Buffer.from(whole.subarray(0, to))
  }
  if (rest.length > 0) yield { offset: 0, bytes: rest }
}
