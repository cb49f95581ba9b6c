import { close, constants, open } from 'node:fs'
import { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { promisify } from 'node:util'
import { CoveError } from '@cove/domain'

const openFile = promisify(open)
const COMMON = constants.O_NONBLOCK | constants.O_NOFOLLOW

export interface FifoPaths {
  /** What the machine reads. */
  readonly stdin: string
  /** What it writes. */
  readonly stdout: string
}

/**
 * The other sides of a process's FIFOs as one stream. Opening them never waits, and letting go of them ends nothing.
 * `guest-unreachable` when the process is gone.
 */
export async function openFifos(paths: FifoPaths, signal: AbortSignal): Promise<Duplex> {
  if (signal.aborted) throw CoveError.from(signal.reason, 'cancelled')
  const opened: number[] = []
  try {
    // For writing first: that fails when nobody reads any more.
    opened.push(await openFile(paths.stdin, constants.O_WRONLY | COMMON))
    opened.push(await openFile(paths.stdout, constants.O_RDONLY | COMMON))
  } catch (cause) {
    for (const fd of opened) close(fd)
    throw new CoveError('guest-unreachable', `the guest's pipes cannot be opened: ${String(cause)}`, {}, { cause })
  }
  const [input = -1, output = -1] = opened
  if (signal.aborted) {
    for (const fd of opened) close(fd)
    throw CoveError.from(signal.reason, 'cancelled')
  }
  return new FifoStream(
    new Socket({ fd: input, readable: false, writable: true }),
    new Socket({ fd: output, readable: true, writable: false }),
  )
}

/** Two pipes as one stream; the end of either is the end of it. */
class FifoStream extends Duplex {
  readonly #input: Socket
  readonly #output: Socket

  constructor(input: Socket, output: Socket) {
    super({ allowHalfOpen: false })
    this.#input = input
    this.#output = output
    output.on('data', (chunk) => {
      if (!this.push(chunk)) output.pause()
    })
    output.on('end', () => this.push(null))
    // The machine never ends its side: whoever ends this one must not go on taking what is meant for the next.
    this.once('finish', () => this.destroy())
    for (const socket of [input, output]) {
      socket.on('error', (error) => this.destroy(error))
      socket.on('close', () => this.destroy())
    }
  }

  override _read(): void {
    this.#output.resume()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#input.write(chunk, done)
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.#input.cork()
    const last = chunks.length - 1
    chunks.forEach(({ chunk }, index) => this.#input.write(chunk, index === last ? done : undefined))
    this.#input.uncork()
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#input.end(() => done())
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#input.destroy()
    this.#output.destroy()
    done(error)
  }
}
