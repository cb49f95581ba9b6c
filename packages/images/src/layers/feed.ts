import type { Duplex, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

interface Feed {
  readonly source: AsyncIterable<Uint8Array>
  readonly through: Duplex | undefined
  /** Sees every chunk that goes in. */
  readonly meter: (chunk: Uint8Array) => void
  readonly into: Writable
}

/** Streams `source` into a program, as fast as it takes it. */
export async function feed({ source, through, meter, into }: Feed): Promise<void> {
  const metered = async function* (chunks: AsyncIterable<Uint8Array>) {
    for await (const chunk of chunks) {
      meter(chunk)
      yield chunk
    }
  }
  if (through === undefined) await pipeline(source, metered, into)
  else await pipeline(source, through, metered, into)
}
