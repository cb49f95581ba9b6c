/** How long the end of a body is known. */
export type Framing =
  | { readonly kind: 'none' | 'chunked' | 'until-close' }
  | { readonly kind: 'length'; readonly bytes: number }

export interface ResponseHead {
  readonly status: number
  readonly reason: string
  /** Name, value, name, value, … as the server wrote them. */
  readonly headers: readonly string[]
  /** What `Content-Length` says; of an answer without a body it tells how long that would be. */
  readonly length: number | undefined
  readonly framing: Framing
  /** True when the connection may carry another request after this answer. */
  readonly keepAlive: boolean
}

/** Takes what a parser finds, in order, while it is pushed to. */
export interface ResponseSink {
  /** Never for interim answers (1xx) but 101, after which everything is the connection's other protocol. */
  head(head: ResponseHead): void
  body(bytes: Buffer): void
  /** Trailers as name, value, name, value, … */
  end(trailers: readonly string[]): void
}

/** The other end does not speak HTTP/1.1, or not by its rules. */
export class ResponseError extends Error {}

const HEAD_BYTES = 64 * 1024
const HEADERS = 256
const INTERIM = 16
const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/
const STATUS = /^HTTP\/1\.([01]) ([1-5]\d\d)(?: ([\t\x20-\x7e\x80-\xff]*))?$/
const EMPTY: readonly string[] = []

/**
 * Reads the answer to one request. Strict where two readers could disagree about where an answer ends: what is not
 * framed by the rules is refused instead of guessed at.
 */
export class ResponseParser {
  readonly #sink: ResponseSink
  readonly #isHead: boolean
  #state: 'head' | 'length' | 'until-close' | 'chunk-size' | 'chunk' | 'chunk-end' | 'trailers' | 'switched' | 'done' =
    'head'
  #held: Buffer | undefined
  #left = 0
  #interim = 0
  #trailerBytes = 0
  #trailers: string[] = []

  /** `method` is that of the request: the answer to a HEAD has no body whatever its headers say. */
  constructor(method: string, sink: ResponseSink) {
    this.#sink = sink
    this.#isHead = method === 'HEAD'
  }

  get done(): boolean {
    return this.#state === 'done'
  }

  /** True until the first byte of an answer has come. */
  get untouched(): boolean {
    return this.#state === 'head' && this.#held === undefined && this.#interim === 0
  }

  push(chunk: Buffer): void {
    let rest: Buffer | undefined = chunk
    while (rest !== undefined && rest.length > 0) rest = this.#take(rest)
  }

  /** The connection has ended. */
  finish(): void {
    if (this.#state === 'until-close') this.#end()
    else if (this.#state !== 'done') throw new ResponseError('the answer broke off')
  }

  #take(bytes: Buffer): Buffer | undefined {
    switch (this.#state) {
      case 'head':
        return this.#takeHead(bytes)
      case 'length':
      case 'chunk':
        return this.#takeBody(bytes)
      case 'until-close':
      case 'switched':
        this.#sink.body(bytes)
        return undefined
      case 'done':
        throw new ResponseError('there is more than one answer')
      default:
        return this.#takeLine(bytes)
    }
  }

  #takeHead(bytes: Buffer): Buffer | undefined {
    const held = this.#held
    const all = held === undefined ? bytes : Buffer.concat([held, bytes])
    // The end may lie across the seam.
    const end = all.indexOf('\r\n\r\n', Math.max(0, (held?.length ?? 0) - 3), 'latin1')
    if (end > HEAD_BYTES || (end < 0 && all.length > HEAD_BYTES)) throw new ResponseError('the headers are too long')
    if (end < 0) {
      // Lines that end otherwise would be waited for without an end.
      if (all[all.indexOf(10) - 1] !== 13 && all.includes(10)) throw new ResponseError('a line ends without a CR')
      this.#held = all
      return undefined
    }
    this.#held = undefined
    this.#readHead(all.toString('latin1', 0, end))
    return all.subarray(end + 4)
  }

  #readHead(text: string): void {
    const lines = text.split('\r\n')
    const match = STATUS.exec(lines[0] ?? '')
    if (match === null) throw new ResponseError('that is no answer of HTTP/1.1')
    const status = Number(match[2])
    const headers = readHeaders(lines, 1)
    if (status < 200 && status !== 101) {
      if (++this.#interim > INTERIM) throw new ResponseError('too many interim answers')
      return
    }
    const facts = readFacts(headers)
    const framing = this.#framing(status, facts)
    const closes = match[1] === '0' ? !facts.keepAlive : facts.close
    this.#sink.head({
      status,
      reason: match[3] ?? '',
      headers,
      length: facts.length,
      framing,
      keepAlive: !closes && framing.kind !== 'until-close' && status !== 101,
    })
    if (status === 101) this.#state = 'switched'
    else if (framing.kind === 'none') this.#end()
    else if (framing.kind === 'chunked') this.#state = 'chunk-size'
    else if (framing.kind === 'until-close') this.#state = 'until-close'
    else if (framing.kind === 'length') {
      this.#left = framing.bytes
      this.#state = 'length'
      if (framing.bytes === 0) this.#end()
    }
  }

  #framing(status: number, { length, coding }: Facts): Framing {
    if (this.#isHead || status === 101 || status === 204 || status === 304) return { kind: 'none' }
    if (coding !== undefined) {
      if (coding !== 'chunked' || length !== undefined)
        throw new ResponseError('the end of the answer is told in two ways')
      return { kind: 'chunked' }
    }
    return length === undefined ? { kind: 'until-close' } : { kind: 'length', bytes: length }
  }

  #takeBody(bytes: Buffer): Buffer | undefined {
    const part = bytes.length > this.#left ? bytes.subarray(0, this.#left) : bytes
    this.#left -= part.length
    this.#sink.body(part)
    if (this.#left > 0) return undefined
    if (this.#state === 'chunk') this.#state = 'chunk-end'
    else this.#end()
    return part.length < bytes.length ? bytes.subarray(part.length) : undefined
  }

  #takeLine(bytes: Buffer): Buffer | undefined {
    const held = this.#held
    const all = held === undefined ? bytes : Buffer.concat([held, bytes])
    const end = all.indexOf('\r\n', Math.max(0, (held?.length ?? 0) - 1), 'latin1')
    const longest = this.#state === 'trailers' ? HEAD_BYTES : 1024
    if (end > longest || (end < 0 && all.length > longest)) throw new ResponseError('a line is too long')
    if (end < 0) {
      this.#held = all
      return undefined
    }
    this.#held = undefined
    this.#readLine(all.toString('latin1', 0, end))
    return all.subarray(end + 2)
  }

  #readLine(line: string): void {
    if (this.#state === 'chunk-end') {
      if (line !== '') throw new ResponseError('a chunk is longer than it says')
      this.#state = 'chunk-size'
    } else if (this.#state === 'chunk-size') {
      const size = /^([0-9A-Fa-f]{1,12})(?:[\t ]*;.*)?$/.exec(line)?.[1]
      if (size === undefined) throw new ResponseError('the size of a chunk is no number')
      this.#left = Number.parseInt(size, 16)
      this.#state = this.#left === 0 ? 'trailers' : 'chunk'
    } else if (line === '') {
      this.#end()
    } else {
      this.#trailerBytes += line.length
      if (this.#trailerBytes > HEAD_BYTES) throw new ResponseError('the trailers are too long')
      this.#trailers.push(...readHeaders([line], 0))
    }
  }

  #end(): void {
    this.#state = 'done'
    this.#sink.end(this.#trailers)
  }
}

function readHeaders(lines: readonly string[], from: number): readonly string[] {
  if (lines.length === from) return EMPTY
  if (lines.length > HEADERS) throw new ResponseError('there are too many headers')
  const headers: string[] = []
  for (let at = from; at < lines.length; at++) {
    const line = lines[at] ?? ''
    const colon = line.indexOf(':')
    const name = line.slice(0, Math.max(0, colon))
    const value = valueOf(line, colon + 1)
    // No whitespace before the colon, no lines that continue others: readers disagree about both.
    if (!NAME.test(name) || !VALUE.test(value)) throw new ResponseError('a header is malformed')
    headers.push(name, value)
  }
  return headers
}

/** Without the blanks around it: other bytes that JavaScript takes for space may be parts of characters. */
function valueOf(line: string, from: number): string {
  let to = line.length
  while (from < to && isBlank(line.charCodeAt(from))) from++
  while (to > from && isBlank(line.charCodeAt(to - 1))) to--
  return line.slice(from, to)
}

const isBlank = (code: number): boolean => code === 0x20 || code === 0x09

interface Facts {
  readonly length: number | undefined
  /** Lowercase. */
  readonly coding: string | undefined
  readonly close: boolean
  readonly keepAlive: boolean
}

function readFacts(headers: readonly string[]): Facts {
  let length: number | undefined
  let coding: string | undefined
  let close = false
  let keepAlive = false
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at] ?? ''
    // Most headers say nothing about the end of the answer; their length tells.
    if (name.length !== 14 && name.length !== 17 && name.length !== 10) continue
    const value = headers[at + 1] ?? ''
    const lower = name.toLowerCase()
    if (lower === 'content-length') {
      const told = /^\d{1,15}$/.test(value) ? Number(value) : undefined
      if (told === undefined || (length !== undefined && length !== told)) {
        throw new ResponseError('the length of the answer is no number')
      }
      length = told
    } else if (lower === 'transfer-encoding') {
      coding = coding === undefined ? value.toLowerCase() : `${coding}, ${value.toLowerCase()}`
    } else if (lower === 'connection') {
      const tokens = value.toLowerCase()
      close ||= tokens.includes('close')
      keepAlive ||= tokens.includes('keep-alive')
    }
  }
  return { length, coding, close, keepAlive }
}
