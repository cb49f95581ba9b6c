import { connect, type Socket } from 'node:net'

const DATA = 0
const HEADERS = 1
const RST_STREAM = 3
const SETTINGS = 4
const END_HEADERS = 4
/** With any other code Node itself fails what reads the body. */
const NO_ERROR = 0

/**
 * The beginning of an upload over HTTP/2, and its break in the middle as most clients make it: Node's own says first
 * that the body is whole.
 */
export class BrokenUpload {
  readonly #socket: Socket

  constructor(base: string, headers: Readonly<Record<string, string>>, body: string) {
    const { hostname, port } = new URL(base)
    this.#socket = connect(Number(port), hostname)
    this.#socket.on('error', () => undefined).resume()
    const all = { ':method': 'POST', ':scheme': 'http', ...headers }
    this.#socket.write(
      Buffer.concat([
        Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
        frame(SETTINGS, 0, 0, Buffer.alloc(0)),
        frame(HEADERS, END_HEADERS, 1, Buffer.concat(Object.entries(all).flat().map(literal).map(named))),
        frame(DATA, 0, 1, Buffer.from(body)),
      ]),
    )
  }

  breakOff(): void {
    this.#socket.write(frame(RST_STREAM, 0, 1, Buffer.from([0, 0, 0, NO_ERROR])))
  }

  [Symbol.dispose](): void {
    this.#socket.destroy()
  }
}

function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head.writeUInt8(type, 3)
  head.writeUInt8(flags, 4)
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

/** Of HPACK only what needs no table; texts of less than 127 bytes. */
function literal(text: string): Buffer {
  return Buffer.concat([Buffer.from([text.length]), Buffer.from(text)])
}

const named = (text: Buffer, at: number): Buffer => (at % 2 === 0 ? Buffer.concat([Buffer.from([0]), text]) : text)
