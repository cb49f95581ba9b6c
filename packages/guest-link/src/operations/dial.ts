import { Duplex } from 'node:stream'
import { CoveError, type DialTarget } from '@cove/domain'
import { STREAM } from '@cove/frames'
import { checkPath, checkText, checkWhole } from '../check.ts'
import type { Channel } from '../channel.ts'
import type { Session } from '../session.ts'
import { DIAL, OPERATION } from '../wire/tags.ts'
import { openCall, request } from './call.ts'

const WINDOW = 256 * 1024

/** Resolves when the guest has connected. The signal ends the stream, too. */
export async function dial(session: Session, target: DialTarget, signal: AbortSignal | undefined): Promise<Duplex> {
  const fields = request(OPERATION.dial)
  if (target.kind === 'tcp') {
    fields
      .number(DIAL.port, checkWhole('port', target.port, 1, 65_535))
      .text(DIAL.host, target.host === undefined ? undefined : checkText('host', target.host))
  } else {
    fields.text(DIAL.unix, checkPath(target.path))
  }
  const channel = openCall(session, fields, signal, { window: WINDOW })
  await channel.opened
  return new DialStream(channel)
}

class DialStream extends Duplex {
  readonly #channel: Channel
  #reading = false
  #remoteEnded = false

  constructor(channel: Channel) {
    super({ allowHalfOpen: true })
    this.#channel = channel
    // Also when nobody reads or writes just now.
    channel.whenEnded(() => {
      if (channel.error !== undefined) this.destroy(channel.error)
    })
  }

  override _read(): void {
    if (this.#reading) return
    this.#reading = true
    void this.#pump()
  }

  async #pump(): Promise<void> {
    try {
      await this.#pull()
      this.#reading = false
    } catch (error) {
      this.destroy(CoveError.from(error))
    }
  }

  async #pull(): Promise<void> {
    for (;;) {
      const item = await this.#channel.next()
      if (item === undefined) {
        // A close right behind the last bytes is how a connection ends that was ended from both sides.
        if (!this.#remoteEnded) this.push(null)
        this.#remoteEnded = true
        return
      }
      if (this.#remoteEnded || item.kind === 'event' || item.kind === 'overflow' || item.stream !== STREAM.content) {
        throw this.#channel.violation('something else on a connection')
      }
      if (item.kind === 'end') {
        this.#remoteEnded = true
        this.push(null)
        return
      }
      if (!this.push(item.data)) return
    }
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    const sent = this.#channel.sendNow(STREAM.content, chunk)
    if (sent === chunk.length && sent > 0) callback()
    else void this.#send(chunk.subarray(sent), callback)
  }

  async #send(chunk: Uint8Array, callback: (error?: Error | null) => void): Promise<void> {
    let failure: CoveError | null = null
    try {
      await this.#channel.send(STREAM.content, chunk)
    } catch (error) {
      failure = CoveError.from(error)
    }
    callback(failure)
  }

  override _final(callback: (error?: Error | null) => void): void {
    // The guest may have closed already; then there is nobody to tell.
    if (!this.#channel.ended) this.#channel.sendEnd(STREAM.content)
    callback()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    // After both ends the guest closes by itself.
    if (!(this.#remoteEnded && this.writableFinished)) this.#channel.close()
    callback(error)
  }
}
