/** What previews are tried on, as a program that runs inside a sandbox: port 8000, nothing but Node's own modules. */
export const PREVIEW_SERVER = `
import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import { createServer as createTcp } from 'node:net'

const PAGE = '<!doctype html><title>inside</title><h1 id="state">loading</h1><script>' +
  'const socket = new WebSocket("ws://" + location.host + "/socket");' +
  'socket.onopen = () => socket.send("hello");' +
  'socket.onmessage = ({ data }) => { document.getElementById("state").textContent = data; socket.close() };' +
  '</script>'

const routes = {
  '/': (_request, response) => response.setHeader('content-type', 'text/html').end(PAGE),
  '/echo': (request, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ method: request.method, url: request.url, headers: request.rawHeaders }))
  },
  '/big': (request, response) => {
    let left = Number(new URL(request.url, 'http://x').searchParams.get('bytes'))
    const chunk = Buffer.alloc(262144, 7)
    const send = () => {
      while (left > 0) {
        const part = left >= chunk.length ? chunk : chunk.subarray(0, left)
        left -= part.length
        if (!response.write(part)) return void response.once('drain', send)
      }
      response.end()
    }
    send()
  },
  '/upload': (request, response) => {
    const hash = createHash('sha256')
    let bytes = 0
    request.on('data', (chunk) => { bytes += chunk.length; hash.update(chunk) })
    request.on('end', () => response.end(JSON.stringify({ bytes, sha256: hash.digest('hex') })))
  },
  '/never-read': (_request, _response) => {},
  '/events': (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })
    response.write('data: first\\n\\n')
    globalThis.listeners ??= []
    globalThis.listeners.push(response)
  },
  '/emit': (_request, response) => {
    for (const one of globalThis.listeners ?? []) one.end('data: second\\n\\n')
    response.end()
  },
  '/trailers': (_request, response) => {
    response.writeHead(200, { trailer: 'x-sum' })
    response.write('body')
    response.addTrailers({ 'x-sum': '42' })
    response.end()
  },
  '/cookies': (_request, response) => {
    response.setHeader('set-cookie', ['a=1; Domain=localhost; Path=/', 'cove-preview=stolen', 'b=2; HttpOnly'])
    response.setHeader('alt-svc', 'h3=":443"')
    response.end()
  },
  '/status': (request, response) => {
    response.writeHead(Number(new URL(request.url, 'http://x').searchParams.get('code')), 'Said So')
    response.end()
  },
  '/refuse-upload': (_request, response) => response.writeHead(413).end('too large'),
  '/connection': (request, response) => response.end(String(request.socket.remotePort)),
}

const server = createServer((request, response) => {
  const route = routes[new URL(request.url, 'http://x').pathname]
  if (route === undefined) response.writeHead(404).end('not here')
  else route(request, response)
})
server.on('upgrade', (request, socket, head) => {
  if (request.url.startsWith('/no-socket')) {
    socket.end('HTTP/1.1 400 Bad Request\\r\\ncontent-length: 4\\r\\nconnection: close\\r\\n\\r\\nnope')
    return
  }
  if (request.headers.upgrade === 'shout') {
    socket.write('HTTP/1.1 101 Switching Protocols\\r\\nconnection: Upgrade\\r\\nupgrade: shout\\r\\n\\r\\nSHOUT:')
    socket.write(head.toString().toUpperCase())
    socket.on('data', (chunk) => socket.write(chunk.toString().toUpperCase()))
    socket.on('end', () => socket.end('BYE'))
    return
  }
  const accept = createHash('sha1').update(request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64')
  socket.write('HTTP/1.1 101 Switching Protocols\\r\\nupgrade: websocket\\r\\nconnection: Upgrade\\r\\nsec-websocket-accept: ' + accept + '\\r\\n\\r\\n')
  let held = head
  const take = (chunk) => {
    held = Buffer.concat([held, chunk])
    while (held.length >= 6) {
      const length = held[1] & 127
      if (held.length < 6 + length) return
      const mask = held.subarray(2, 6)
      const payload = held.subarray(6, 6 + length).map((byte, at) => byte ^ mask[at % 4])
      const opcode = held[0] & 15
      held = held.subarray(6 + length)
      const answer = opcode === 8 ? payload : Buffer.concat([Buffer.from('echo '), payload])
      socket.write(Buffer.concat([Buffer.from([128 | opcode, answer.length]), answer]))
      if (opcode === 8) socket.end()
    }
  }
  socket.on('data', take)
  socket.on('error', () => {})
  take(Buffer.alloc(0))
})
const listening = (what, port) => new Promise((resolve) => what.listen(port, '127.0.0.1', resolve))
await listening(server, 8000)
await listening(createTcp((socket) => socket.end('SSH-2.0-nothing of HTTP\\r\\n\\r\\n')), 8022)
console.log('ready')
`
