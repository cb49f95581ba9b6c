import { Duplex, type Readable, type Writable } from 'node:stream'

/**
 * Lets one host after the other use a stream that outlives them, as a serial port does: a new one takes it from the
 * last, and one that goes away leaves it as it is.
 */
export class SharedStream {
  readonly #input: Readable
  readonly #output: Writable
  #user: Duplex | undefined

  /** `input` is what the guest says, `output` what it hears; they may be the same. */
  constructor(input: Readable, output: Writable) {
    this.#input = input
    this.#output = output
    input.on('data', (chunk: Buffer) => {
      // Nobody is there: what the guest says is lost, as with a port that is closed.
      if (this.#user?.push(chunk) === false) input.pause()
    })
    const gone = (): void => {
      this.#user?.destroy()
    }
    for (const stream of [input, output]) stream.on('close', gone).on('error', gone)
  }

  connect(): Promise<Duplex> {
    const input = this.#input
    const output = this.#output
    if (input.destroyed || output.destroyed) return Promise.reject(new Error('the stream is closed'))
    const user: Duplex = new Duplex({
      read: () => {
        input.resume()
      },
      write: (chunk: Buffer, _encoding, done) => {
        if (this.#user !== user || output.write(chunk)) done()
        else output.once('drain', () => done())
      },
      destroy: (error, done) => {
        if (this.#user === user) this.#user = undefined
        input.resume()
        done(error)
      },
    })
    const last = this.#user
    this.#user = user
    last?.destroy()
    return Promise.resolve(user)
  }
}
