import { CoveError } from '@cove/domain'
import { BlobFile, describe } from './blob-file.ts'
import type { Compression, Descriptor, FetchLayerOptions } from './image-source.ts'
import type { HttpAnswer } from './http-client.ts'
import { patiently, TemporaryFault, type Patience } from './temporary-fault.ts'

export type GetBlob = (headers: Readonly<Record<string, string>>, signal: AbortSignal) => Promise<HttpAnswer>

/**
 * Brings a blob to `file`. Broken connections go on where they broke, in this call and in the next one; what came in
 * pieces and is wrong is fetched once more in one.
 */
export async function downloadBlob(
  blob: Descriptor,
  file: string,
  get: GetBlob,
  options: FetchLayerOptions,
  patience: Omit<Patience, 'signal'>,
): Promise<Compression> {
  await using target = await BlobFile.open(blob, file)
  const download = new Download(blob, target, get, options)
  const persistent = { ...patience, signal: options.signal }
  for (;;) {
    let inPieces = target.length > 0
    const attempt = async (): Promise<void> => {
      inPieces ||= target.length > 0
      await download.attempt()
    }
    await patiently(attempt, persistent, () => target.length)
    if (await target.verify()) return await target.finish()
    await target.restart()
    if (inPieces) continue
    await target.remove()
    throw new CoveError('image-invalid', `${describe(blob)} has arrived with another digest`)
  }
}

class Download {
  readonly #blob: Descriptor
  readonly #target: BlobFile
  readonly #get: GetBlob
  readonly #options: FetchLayerOptions
  #etag: string | undefined

  constructor(blob: Descriptor, target: BlobFile, get: GetBlob, options: FetchLayerOptions) {
    this.#blob = blob
    this.#target = target
    this.#get = get
    this.#options = options
  }

  async attempt(): Promise<void> {
    const { size } = this.#blob
    this.#options.onBytes?.(this.#target.length)
    if (this.#target.length === size) return
    const answer = await this.#get(this.#range(), this.#options.signal)
    try {
      await this.#begin(answer)
      for await (const chunk of answer.body()) {
        await this.#target.write(chunk)
        this.#options.onBytes?.(this.#target.length)
      }
    } catch (error) {
      // Kept for the next attempt, when there is room for it.
      await this.#target.flush()
      throw error
    } finally {
      answer.discard()
    }
    if (this.#target.length < size) throw cutShort(this.#blob)
  }

  /** A digest names the same bytes for ever, so that a range needs no tag; with one, a lying server is noticed earlier. */
  #range(): Readonly<Record<string, string>> {
    if (this.#target.length === 0) return {}
    const tag = this.#etag === undefined ? {} : { 'If-Range': this.#etag }
    return { Range: `bytes=${this.#target.length}-`, ...tag }
  }

  async #begin({ status, headers }: HttpAnswer): Promise<void> {
    const { size } = this.#blob
    const asked = this.#target.length
    if (status === 416 || (status === 206 && !isRest(headers['content-range'], asked, size))) {
      await this.#target.restart()
      throw asked > 0 ? cutShort(this.#blob) : wrong(this.#blob, 'is served in pieces that nobody asked for')
    }
    if (status === 200) await this.#target.restart()
    const encoding = headers['content-encoding'] ?? 'identity'
    if (encoding !== 'identity') throw wrong(this.#blob, 'is compressed on its way')
    const length = headers['content-length']
    const rest = size - this.#target.length
    if (length !== undefined && Number(length) !== rest) {
      throw wrong(this.#blob, `has ${Number(length)} bytes in the registry where ${rest} are due`)
    }
    const { etag } = headers
    this.#etag = etag?.startsWith('"') === true ? etag : undefined
  }
}

function isRest(range: string | undefined, from: number, size: number): boolean {
  const parts = /^bytes (\d{1,16})-(\d{1,16})\/(\d{1,16}|\*)$/.exec(range ?? '')
  if (parts === null) return false
  const [, first, , total] = parts
  return from > 0 && Number(first) === from && (total === '*' || Number(total) === size)
}

function cutShort(blob: Descriptor): TemporaryFault {
  return new TemporaryFault(new CoveError('registry-unavailable', `${describe(blob)} has ended too early`))
}

function wrong(blob: Descriptor, what: string): CoveError {
  return new CoveError('image-invalid', `${describe(blob)} ${what}`)
}
