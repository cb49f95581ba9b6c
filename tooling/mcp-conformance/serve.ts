import { createServer, request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { KEY, openHouse } from '../../packages/server/test/support/harness.ts'
import { conformanceFixtures } from './fixtures.ts'

/**
 * The server that the suite is run against: the real doors with the suite's fixtures, over a stub node. The suite
 * cannot send a key, so it talks to a small proxy that adds one; everything else passes as it is. Prints the address
 * for the suite, and ends when its input does.
 */
await using house = await openHouse({ mcp: { fixtures: conformanceFixtures() } })
const base = new URL(await house.listen())

const proxy = createServer((request, response) => {
  // Host and Origin stay those of the suite: the checks of the server are among what it tests.
  const headers = { ...request.headers, authorization: `Bearer ${KEY}` }
  const { hostname, port } = base
  const onward = httpRequest({ hostname, port, method: request.method, path: request.url, headers }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers)
    answer.pipe(response)
    answer.on('error', () => response.destroy())
  })
  onward.on('error', () => response.destroy())
  response.on('close', () => onward.destroy())
  request.pipe(onward)
})
await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
process.stdout.write(`http://127.0.0.1:${(proxy.address() as AddressInfo).port}/mcp\n`)

process.stdin.resume()
await new Promise<void>((resolve) => process.stdin.once('end', resolve))
proxy.closeAllConnections()
proxy.close()
