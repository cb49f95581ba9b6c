import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openRegistry } from '../registry/open-registry.ts'
import { ScriptedRegistry } from './scripted-registry.ts'
import { TestImage } from './test-image.ts'

// Runs in a network namespace where the loopback has public addresses too: what a registry of the internet could do to
// this machine. Prints one line of JSON per way of sending elsewhere: the code of the error, or `fetched`, and how
// often the secret place was asked.

const [address = '', other = ''] = process.argv.slice(2)
const { signal } = new AbortController()
const folder = mkdtempSync(join(tmpdir(), 'cove-test-'))
const image = new TestImage({ layers: [randomBytes(10_000)], compression: 'none' })

async function story(what: string, place: (port: string) => string, by: 'blob' | 'manifest' | 'realm'): Promise<void> {
  const at = what === 'another public address' ? other : what.includes('IPv6') ? '::1' : '127.0.0.1'
  await using secret = await ScriptedRegistry.start(image, () => false, { address: at })
  const port = secret.host.slice(secret.host.lastIndexOf(':') + 1)
  const target = `http://${place(port)}`
  await using server = await ScriptedRegistry.start(
    image,
    (_request, response, path) => {
      if (by === 'realm') {
        response.writeHead(401, { 'WWW-Authenticate': `Bearer realm="${target}/token"` })
      } else if (path.startsWith(by === 'blob' ? 'blobs/' : 'manifests/')) {
        response.writeHead(307, { Location: `${target}/v2/x/${path}` })
      } else return false
      response.end()
      return true
    },
    { address },
  )
  using registry = openRegistry({ retries: 0, backoffMs: 1, stallMs: 5_000, insecure: [server.host] })
  let outcome = 'fetched'
  try {
    await using source = await registry.resolve(`${server.host}/a/b`, { os: 'linux', architecture: 'amd64' }, signal)
    for (const layer of source.layers) await source.fetchLayer(layer, join(folder, what), { signal })
  } catch (error) {
    outcome = error instanceof Error && 'code' in error ? `${String(error.code)}: ${error.message}` : String(error)
  }
  console.log(JSON.stringify({ what, by, outcome, asked: secret.asked.length }))
}

try {
  for (const by of ['blob', 'manifest', 'realm'] as const) {
    await story('an address', (port) => `127.0.0.1:${port}`, by)
    await story('a name', (port) => `localhost:${port}`, by)
    await story('a number', (port) => `2130706433:${port}`, by)
    await story('IPv6', (port) => `[::1]:${port}`, by)
    await story('IPv4 in IPv6', (port) => `[::ffff:127.0.0.1]:${port}`, by)
  }
  await story('another public address', (port) => `${other}:${port}`, 'blob')
} finally {
  rmSync(folder, { recursive: true, force: true })
  image[Symbol.dispose]()
}
