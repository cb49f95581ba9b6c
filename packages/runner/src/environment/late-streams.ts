import { Readable, Writable } from 'node:stream'

/**
 * A stdin that can be written to before there is a process: what is written waits. When the process does not read any
 * more the stream is closed, without an error: how the process ended says what there is to say.
 */
export class LateWritable extends Writable {
  #target: Writable | undefined
  #waiting: ((target: Writable) => void) | undefined

  connect(target: Writable): void {
    this.#target = target
    target.on('error', () => this.destroy())
    target.once('close', () => this.destroy())
    if (this.destroyed) target.destroy()
    else this.#waiting?.(target)
    this.#waiting = undefined
  }

  override _write(chunk: Buffer, encoding: BufferEncoding, callback: () => void): void {
    // An error of the target closes this stream, and tells nobody.
    this.#when((target) => target.write(chunk, encoding, () => callback()))
  }

  override _final(callback: () => void): void {
    this.#when((target) => target.end(() => callback()))
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#target?.destroy()
    callback(error)
  }

  #when(act: (target: Writable) => void): void {
    if (this.#target === undefined) this.#waiting = act
    else act(this.#target)
  }
}

/** A stdout that can be held before there is a process. */
export class LateReadable extends Readable {
  #source: Readable | undefined

  connect(source: Readable): void {
    this.#source = source
    if (this.destroyed) {
      source.destroy()
      return
    }
    source.on('data', (chunk: Buffer) => {
      if (!this.push(chunk)) source.pause()
    })
    source.once('error', (error) => this.destroy(error))
    source.once('close', () => this.push(null))
  }

  override _read(): void {
    this.#source?.resume()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#source?.destroy()
    callback(error)
  }
}
