/**
 * A program that answers in a network namespace of a test's world: who it is and to which address it was spoken, over
 * TCP and UDP, and names over DNS. Its argument says all of it; it says `ready` when it listens.
 */
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { dnsAnswer, type Names } from './dns-answer.ts'

export interface ServiceSpec {
  readonly name: string
  readonly tcp: readonly (readonly [address: string, port: number])[]
  readonly udp: readonly (readonly [address: string, port: number])[]
  /** Takes everything, for as long as it comes. */
  readonly sink?: readonly (readonly [address: string, port: number])[]
  readonly dns?: { readonly address: string; readonly names: Names }
}

const strangers = { 4: createSocket('udp4'), 6: createSocket('udp6') }
const spec = JSON.parse(process.argv[2] ?? '') as ServiceSpec

for (const [address, port] of spec.tcp) {
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.end(`${spec.name} ${socket.localAddress?.replace('::ffff:', '')}\n`)
  })
  await once(server.listen(port, address), 'listening')
}
for (const [address, port] of spec.sink ?? []) {
  const server = createServer((socket) => socket.on('error', () => undefined).resume())
  await once(server.listen(port, address), 'listening')
}
for (const [address, port] of spec.udp) {
  const socket = await bound(address, port)
  socket.on('message', (_, from) => {
    socket.send(`${spec.name} ${address}\n`, from.port, from.address)
    // From another port, uninvited: a machine must never hear it.
    strangers[address.includes(':') ? 6 : 4].send('stranger\n', from.port, from.address)
  })
}
if (spec.dns !== undefined) {
  const { address, names } = spec.dns
  const socket = await bound(address, 53)
  socket.on('message', (query, from) => socket.send(dnsAnswer(query, names), from.port, from.address))
  const server = createServer((stream) => {
    stream.on('error', () => undefined)
    stream.once('data', (data) => {
      const answer = dnsAnswer(data.subarray(2), names)
      stream.end(Buffer.concat([Uint8Array.of(answer.length >> 8, answer.length & 255), answer]))
    })
  })
  await once(server.listen(53, address), 'listening')
}
process.stdout.write('ready\n')

async function bound(address: string, port: number): Promise<Socket> {
  const socket = createSocket({ type: address.includes(':') ? 'udp6' : 'udp4' })
  socket.on('error', () => undefined)
  socket.bind(port, address)
  await once(socket, 'listening')
  return socket
}
