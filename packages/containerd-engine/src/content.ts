import type { Client } from '@connectrpc/connect'
import { CoveError } from '@cove/domain'
import type { Call, Caller } from './caller.ts'
import {
  Content as ContentService,
  WriteAction,
  type WriteContentRequest,
} from './gen/containerd/services/content_pb.ts'
import { create } from '@bufbuild/protobuf'
import { WriteContentRequestSchema } from './gen/containerd/services/content_pb.ts'

export interface Blob {
  /** `sha256:` and 64 hex digits. */
  readonly digest: string
  readonly bytes: number
}

/** containerd takes messages of at most 16 MiB. */
const CHUNK_BYTES = 1024 * 1024

/** Blobs by their digests. */
export class Content {
  readonly #caller: Caller
  readonly #client: Client<typeof ContentService>

  constructor(caller: Caller) {
    this.#caller = caller
    this.#client = caller.client(ContentService)
  }

  /**
   * Stores what comes; containerd checks digest and size. `ref` names the attempt, one writer at a time. False when it
   * was there before: then nothing of `data` need have been read. A failed attempt leaves nothing.
   */
  async write(ref: string, blob: Blob, data: AsyncIterable<Uint8Array>, call: Call): Promise<boolean> {
    const stop = new AbortController()
    let broken: unknown
    const watched = async function* (): AsyncIterable<Uint8Array> {
      try {
        yield* data
      } catch (error) {
        broken = error
        throw error
      }
    }
    const signal = call.signal === undefined ? stop.signal : AbortSignal.any([call.signal, stop.signal])
    try {
      const answers = this.#caller.each({ ...call, signal }, (options) =>
        this.#client.write(messages(ref, blob, watched()), options),
      )
      let stored = false
      for await (const answer of answers) stored = answer.action === WriteAction.COMMIT
      if (!stored) throw new CoveError('driver-failed', `containerd did not store ${blob.digest}`)
      return true
    } catch (error) {
      // Ends the sending too, when it was the answer that broke.
      stop.abort()
      if (call.signal?.aborted === true) throw await this.#undone(ref, CoveError.from(call.signal.reason, 'cancelled'))
      if (error instanceof CoveError && error.code === 'already-exists') return false
      // The source's own words say more than that its stream broke off.
      throw await this.#undone(ref, broken ?? error)
    }
  }

  /** At most `maxBytes`, or `image-invalid`. */
  async read(digest: string, maxBytes: number, call?: Call): Promise<Uint8Array> {
    const parts: Uint8Array[] = []
    let bytes = 0
    for await (const { data } of this.#caller.each(call, (options) => this.#client.read({ digest }, options))) {
      bytes += data.length
      if (bytes > maxBytes) throw new CoveError('image-invalid', `${digest} has more than ${maxBytes} bytes`)
      parts.push(data)
    }
    return Buffer.concat(parts)
  }

  async list(call?: Call): Promise<readonly Blob[]> {
    const found: Blob[] = []
    for await (const { info } of this.#caller.each(call, (options) => this.#client.list({}, options))) {
      for (const { digest, size } of info) found.push({ digest, bytes: Number(size) })
    }
    return found
  }

  /** References of writes that are under way or were cut short. */
  async ingests(call?: Call): Promise<readonly string[]> {
    const { statuses } = await this.#caller.once(call, (options) => this.#client.listStatuses({}, options))
    return statuses.map(({ ref }) => ref)
  }

  async #undone(ref: string, error: unknown): Promise<unknown> {
    await this.#caller.once({}, (options) => this.#client.abort({ ref }, options)).catch(() => undefined)
    return error
  }
}

async function* messages(ref: string, blob: Blob, data: AsyncIterable<Uint8Array>): AsyncIterable<WriteContentRequest> {
  const common = { ref, total: BigInt(blob.bytes), expected: blob.digest }
  // Asks first, so that a blob that is there costs nothing.
  yield create(WriteContentRequestSchema, { ...common, action: WriteAction.STAT })
  let offset = 0
  for await (const bytes of data) {
    for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
      const part = bytes.subarray(at, at + CHUNK_BYTES)
      yield create(WriteContentRequestSchema, {
        ...common,
        action: WriteAction.WRITE,
        offset: BigInt(offset),
        data: part,
      })
      offset += part.length
    }
  }
  yield create(WriteContentRequestSchema, { ...common, action: WriteAction.COMMIT, offset: BigInt(offset) })
}
