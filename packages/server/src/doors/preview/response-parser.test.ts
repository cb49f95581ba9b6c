import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { ResponseError, ResponseParser, type ResponseHead } from './response-parser.ts'

interface Read {
  readonly heads: ResponseHead[]
  readonly body: string
  readonly trailers: readonly string[] | undefined
  readonly error: string | undefined
  readonly done: boolean
}

function read(chunks: readonly Buffer[], method = 'GET', closes = true): Read {
  const heads: ResponseHead[] = []
  const body: Buffer[] = []
  let trailers: readonly string[] | undefined
  const parser = new ResponseParser(method, {
    head: (head) => void heads.push(head),
    body: (bytes) => void body.push(Buffer.from(bytes)),
    end: (told) => (trailers = told),
  })
  let error: string | undefined
  try {
    for (const chunk of chunks) parser.push(chunk)
    if (closes) parser.finish()
  } catch (thrown) {
    if (!(thrown instanceof ResponseError)) throw thrown
    error = thrown.message
  }
  return { heads, body: Buffer.concat(body).toString('latin1'), trailers, error, done: parser.done }
}

const readText = (text: string, method = 'GET', closes = true): Read =>
  read([Buffer.from(text.replaceAll('\n', '\r\n'), 'latin1')], method, closes)

test.each([
  ['HTTP/1.1 200 OK\ncontent-length: 5\n\nhello', 'hello', true],
  ['HTTP/1.1 200\ncontent-length: 0\n\n', '', true],
  ['HTTP/1.1 200 OK\nTransfer-Encoding: Chunked\n\n5\nhello\n1;x=y\n!\n0\n\n', 'hello!', true],
  ['HTTP/1.1 200 OK\n\nuntil the end', 'until the end', false],
  ['HTTP/1.0 200 OK\ncontent-length: 2\n\nok', 'ok', false],
  ['HTTP/1.0 200 OK\ncontent-length: 2\nconnection: keep-alive\n\nok', 'ok', true],
  ['HTTP/1.1 200 OK\ncontent-length: 2\nConnection: close\n\nok', 'ok', false],
  ['HTTP/1.1 100 Continue\n\nHTTP/1.1 103 Early\nlink: x\n\nHTTP/1.1 204 No Content\n\n', '', true],
  ['HTTP/1.1 304 Not Modified\ncontent-length: 99\n\n', '', true],
])('%j is read', (text, body, keepAlive) => {
  const answer = readText(text)
  expect(answer).toMatchObject({ body, error: undefined, done: true })
  expect(answer.heads).toHaveLength(1)
  expect(answer.heads[0]?.keepAlive).toBe(keepAlive)
})

test('the answer to HEAD has no body, and a switch of protocols has no end', () => {
  expect(readText('HTTP/1.1 200 OK\ncontent-length: 5\n\n', 'HEAD', false)).toMatchObject({ body: '', done: true })
  const switched = readText('HTTP/1.1 101 Switching\nupgrade: x\n\nraw HTTP/1.1 bytes', 'GET', false)
  expect(switched).toMatchObject({ body: 'raw HTTP/1.1 bytes', done: false, error: undefined })
})

test('trailers are told', () => {
  const { trailers } = readText('HTTP/1.1 200 OK\ntransfer-encoding: chunked\n\n0\nx-sum: 1\nx-more: 2\n\n')
  expect(trailers).toEqual(['x-sum', '1', 'x-more', '2'])
})

test('a value keeps every byte but the blanks around it, and a length is told once', () => {
  const [head] = readText('HTTP/1.1 200 OK\nx:\t voil\xc3\xa0 \t\ncontent-length: 2\nContent-Length: 02\n\nok').heads
  expect(head?.headers.slice(0, 2)).toEqual(['x', 'voil\xc3\xa0'])
  expect(head?.length).toBe(2)
  const long = `x: a${' '.repeat(60_000)}b`
  expect(readText(`HTTP/1.1 200 OK\n${long}\n\n`).heads[0]?.headers[1]).toHaveLength(60_002)
})

test('lines without a CR are refused at once, and not waited for', () => {
  expect(read([Buffer.from('HTTP/1.1 200 OK\ncontent-length: 2\n\nok')], 'GET', false).error).toBeDefined()
})

test.each([
  ['two lengths', 'HTTP/1.1 200 OK\ncontent-length: 5\ncontent-length: 6\n\nhello!'],
  ['a list of lengths', 'HTTP/1.1 200 OK\ncontent-length: 5, 5\n\nhello'],
  ['a signed length', 'HTTP/1.1 200 OK\ncontent-length: +5\n\nhello'],
  ['length and coding', 'HTTP/1.1 200 OK\ncontent-length: 5\ntransfer-encoding: chunked\n\n0\n\n'],
  ['another coding', 'HTTP/1.1 200 OK\ntransfer-encoding: gzip, chunked\n\n0\n\n'],
  ['chunked twice', 'HTTP/1.1 200 OK\ntransfer-encoding: chunked\ntransfer-encoding: chunked\n\n0\n\n'],
  ['a blank before the colon', 'HTTP/1.1 200 OK\ncontent-length : 5\n\nhello'],
  ['a continued line', 'HTTP/1.1 200 OK\nx: a\n content-length: 5\n\nhello'],
  ['a bare return', 'HTTP/1.1 200 OK\nx: a\rcontent-length: 5\n\nhello'],
  ['a NUL', 'HTTP/1.1 200 OK\nx: a\0b\n\n'],
  ['no status', 'SSH-2.0-nothing\n\n'],
  ['another version', 'HTTP/2 200 OK\n\n'],
  ['a chunk that is longer', 'HTTP/1.1 200 OK\ntransfer-encoding: chunked\n\n2\nhello\n0\n\n'],
  ['a size that is none', 'HTTP/1.1 200 OK\ntransfer-encoding: chunked\n\n0x5\nhello\n0\n\n'],
  ['a second answer', 'HTTP/1.1 200 OK\ncontent-length: 0\n\nHTTP/1.1 200 OK\ncontent-length: 0\n\n'],
  ['a body that breaks off', 'HTTP/1.1 200 OK\ncontent-length: 9\n\nhello'],
  ['too many interim answers', 'HTTP/1.1 102 Wait\n\n'.repeat(20)],
])('%s is refused', (_what, text) => {
  expect(readText(text).error).toBeDefined()
})

test('what has no end is bounded', () => {
  const endless = Array.from({ length: 64 }, () => Buffer.alloc(4_096, 'a'))
  expect(read(endless).error).toBe('the headers are too long')
  const head = Buffer.from('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n')
  expect(read([head, ...endless]).error).toBe('a line is too long')
  const trailers = Array.from({ length: 64 }, () => Buffer.from(`x: ${'a'.repeat(2_000)}\r\n`))
  expect(read([head, Buffer.from('0\r\n'), ...trailers]).error).toBe('the trailers are too long')
})

const ANSWERS = [
  'HTTP/1.1 100 Continue\n\nHTTP/1.1 200 OK\ncontent-length: 11\nx: y\n\nhello world',
  'HTTP/1.1 200 OK\ntransfer-encoding: chunked\n\n5\nhello\n6\n world\n0\nx-sum: 1\n\n',
  'HTTP/1.0 404 Not Found\nserver: old\n\nuntil the end',
]

test('how the bytes are cut changes nothing', () => {
  fc.assert(
    fc.property(fc.constantFrom(...ANSWERS), fc.array(fc.nat(200), { maxLength: 12 }), (text, cuts) => {
      const bytes = Buffer.from(text.replaceAll('\n', '\r\n'), 'latin1')
      const at = [...new Set(cuts.map((cut) => cut % bytes.length))].toSorted((one, other) => one - other)
      const chunks = [0, ...at].map((from, index) => bytes.subarray(from, [...at, bytes.length][index]))
      expect(read(chunks)).toEqual(read([bytes]))
    }),
  )
})

test('a changed byte never does worse than an error', () => {
  fc.assert(
    fc.property(fc.constantFrom(...ANSWERS), fc.nat(), fc.nat(255), (text, at, byte) => {
      const bytes = Buffer.from(text.replaceAll('\n', '\r\n'), 'latin1')
      bytes[at % bytes.length] = byte
      const { heads, body } = read([bytes])
      expect(heads.length).toBeLessThanOrEqual(1)
      expect(body.length).toBeLessThanOrEqual(bytes.length)
    }),
    { numRuns: 2_000 },
  )
})
