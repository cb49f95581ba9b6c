import { spawn } from 'node:child_process'
import { once } from 'node:events'

/**
 * Runs as a process of its own: keeps so many connections busy with one request each at a time, and counts whole
 * answers. All answers have the length of the first, so nothing of them has to be parsed.
 */
const LOAD = `
const { connect } = require('node:net')
const { host, port, request, connections, ms } = JSON.parse(process.argv[1])
const bytes = Buffer.from(request, 'latin1')
let answers = 0, counting = false, length = 0
const measure = () => new Promise((resolve, reject) => {
  const socket = connect(port, host)
  let seen = Buffer.alloc(0)
  socket.on('error', reject)
  socket.on('data', (chunk) => {
    seen = Buffer.concat([seen, chunk])
    const end = seen.indexOf('\\r\\n\\r\\n')
    if (end < 0) return
    const head = seen.subarray(0, end).toString('latin1')
    const body = Number(/content-length: (\\d+)/i.exec(head)?.[1])
    if (!head.startsWith('HTTP/1.1 200 ') || !(body >= 0)) return reject(new Error(head))
    if (seen.length < end + 4 + body) return
    length = end + 4 + body
    socket.destroy()
    resolve()
  })
  socket.write(bytes)
})
measure().then(() => {
  for (let at = 0; at < connections; at++) {
    const socket = connect({ port, host, noDelay: true })
    let left = length
    socket.on('error', (error) => { throw error })
    socket.on('close', () => { throw new Error('a connection was closed') })
    socket.on('data', (chunk) => {
      left -= chunk.length
      if (left > 0) return
      if (left < 0) throw new Error('an answer is longer than the first')
      left = length
      if (counting) answers++
      socket.write(bytes)
    })
    socket.write(bytes)
  }
  setTimeout(() => {
    counting = true
    const start = process.hrtime.bigint()
    setTimeout(() => {
      const seconds = Number(process.hrtime.bigint() - start) / 1e9
      console.log(answers / seconds)
      process.exit(0)
    }, ms)
  }, 500)
})`

export interface Load {
  readonly url: URL
  /** Header lines besides Host. */
  readonly headers: Readonly<Record<string, string>>
  readonly connections: number
  readonly ms: number
}

/** Answers per second. */
export async function httpLoad({ url, headers, connections, ms }: Load): Promise<number> {
  const lines = Object.entries({ host: url.host, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
  const request = `GET ${url.pathname}${url.search} HTTP/1.1\r\n${lines.join('')}\r\n`
  const asked = JSON.stringify({ host: url.hostname, port: Number(url.port), request, connections, ms })
  const child = spawn(process.execPath, ['-e', LOAD, asked], { stdio: ['ignore', 'pipe', 'inherit'] })
  const chunks: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
  await once(child, 'close')
  const perSecond = Number(Buffer.concat(chunks).toString())
  if (!(perSecond > 0)) throw new Error('the load ended without a figure')
  return perSecond
}
