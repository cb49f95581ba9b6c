import { CoveError } from '@cove/domain'
import type { Request } from '../exchange.ts'
import { readBody } from '../read-body.ts'
import { Refusal } from './refusal.ts'
import { Room } from './room.ts'
import { RPC } from './rpc-error.ts'
import { MCP_LIMITS } from './settings.ts'

/** A parsed body; its bytes count until it is disposed. */
export interface Body extends Disposable {
  readonly message: unknown
}

/** Reads the bodies of requests: whole files in base64 among them, so that large ones are bounded all together. */
export class Bodies {
  readonly #ms: number
  readonly #room = new Room(MCP_LIMITS.allBodyBytes)

  /** `ms`: milliseconds for the whole of one body. */
  constructor(ms: number) {
    this.#ms = ms
  }

  async read(request: Request): Promise<Body> {
    const announced = this.#announced(request)
    const release = this.#hold(announced)
    try {
      const body = await readBody(request, { bytes: MCP_LIMITS.bodyBytes, ms: this.#ms })
      const message = parse(body)
      if (announced <= body.length || body.length > MCP_LIMITS.smallBodyBytes)
        return { message, [Symbol.dispose]: release }
      // It was held for more than has come.
      release()
      return { message, [Symbol.dispose]: () => undefined }
    } catch (thrown) {
      release()
      throw refusalOf(thrown)
    }
  }

  /** Bytes that the body takes at most. */
  #announced({ headers }: Request): number {
    const header = headers['content-length']
    const bytes = header === undefined ? MCP_LIMITS.bodyBytes : Number(header)
    if (bytes > MCP_LIMITS.bodyBytes) throw tooLarge()
    return bytes
  }

  /** Counts a large body until the returned function is called; small ones always find room. */
  #hold(bytes: number): () => void {
    if (bytes <= MCP_LIMITS.smallBodyBytes) return () => undefined
    try {
      this.#room.take(bytes)
    } catch (error) {
      throw new Refusal(503, RPC.server, CoveError.from(error))
    }
    let released = false
    return () => {
      if (!released) this.#room.give(bytes)
      released = true
    }
  }
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8')) as unknown
  } catch {
    throw new Refusal(400, RPC.parse, new CoveError('invalid-argument', 'Parse error: the body is not JSON'))
  }
}

function refusalOf(thrown: unknown): unknown {
  if (thrown instanceof Refusal) return thrown
  const error = CoveError.from(thrown)
  if (error.code === 'payload-too-large') return tooLarge()
  return error.code === 'deadline-exceeded' ? new Refusal(408, RPC.server, error) : thrown
}

function tooLarge(): Refusal {
  const { bodyBytes, codeBytes } = MCP_LIMITS
  const fix = `Code may have at most ${codeBytes} bytes; write larger files in parts, or with PUT to /v1/sandboxes/<id>/files.`
  const error = new CoveError('payload-too-large', `a request may have at most ${bodyBytes} bytes`, {}, { fix })
  return new Refusal(413, RPC.server, error)
}
