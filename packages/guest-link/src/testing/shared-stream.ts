import { Duplex } from 'node:stream'

/**
 * Lets one host after the other use a stream that outlives them, as a serial port does: a new one takes it from the
 * last, and one that goes away leaves it as it is.
 */
export class SharedStream {
  readonly #stream: Duplex
  #user: Duplex | undefined

  constructor(stream: Duplex) {
    this.#stream = stream
    stream.on('data', (chunk: Buffer) => {
      // Nobody is there: what the guest says is lost, as with a port that is closed.
      if (this.#user?.push(chunk) === false) stream.pause()
    })
    stream.on('close', () => this.#user?.destroy())
    stream.on('error', () => this.#user?.destroy())
  }

  connect(): Promise<Duplex> {
    const stream = this.#stream
    if (stream.destroyed) return Promise.reject(new Error('the stream is closed'))
    const user: Duplex = new Duplex({
      read: () => stream.resume(),
      write: (chunk: Buffer, _encoding, done) => {
        if (this.#user !== user || stream.write(chunk)) done()
        else stream.once('drain', () => done())
      },
      destroy: (error, done) => {
        if (this.#user === user) this.#user = undefined
        stream.resume()
        done(error)
      },
    })
    const last = this.#user
    this.#user = user
    last?.destroy()
    return Promise.resolve(user)
  }
}
