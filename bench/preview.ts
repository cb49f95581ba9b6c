import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { createInterface } from 'node:readline'
import { Api } from './lib/api.ts'
import { startDaemon } from './lib/daemon.ts'
import { httpLoad } from './lib/http-load.ts'
import { quantile, round, type Benchmark } from './lib/result.ts'

/** The same small server on the host and in the sandbox: a short answer, and a body of any size. */
const SERVER = `
const { createServer } = require('node:http')
const chunk = Buffer.alloc(262144, 7)
createServer((request, response) => {
  const bytes = Number(/bytes=(\\d+)/.exec(request.url)?.[1] ?? 0)
  if (bytes === 0) {
    response.setHeader('content-type', 'text/plain')
    response.setHeader('content-length', 5)
    return void response.end('hello')
  }
  response.setHeader('content-length', bytes)
  let left = bytes
  const send = () => {
    while (left > 0) {
      const part = left >= chunk.length ? chunk : chunk.subarray(0, left)
      left -= part.length
      if (!response.write(part)) return void response.once('drain', send)
    }
    response.end()
  }
  send()
}).listen(Number(process.argv[1] ?? 0), '127.0.0.1', function () { console.log(this.address().port) })`

const PORT = 8000
const CONNECTIONS = 32

/** What was measured one behind the other, so that both had the same machine. */
interface Pair {
  readonly direct: number
  readonly via: number
}

const middle = (pairs: readonly Pair[], of: (pair: Pair) => number): number => round(quantile(pairs.map(of), 0.5))

/** Requests per second and bytes per second through a preview, against the same server reached directly. */
export const run: Benchmark = async ({ quick }) => {
  const rounds = quick ? 2 : 5
  const ms = quick ? 1_500 : 4_000
  const bytes = (quick ? 64 : 256) * 1024 * 1024
  await using daemon = await startDaemon()
  const api = new Api(daemon)
  const id = await api.create()
  await api.call('PortService/SharePort', { sandbox: id, port: PORT, public: true })
  await startInside(daemon, id)
  const direct = await startOutside()
  try {
    const via = new URL(daemon.url)
    const host = `${PORT}-${id}.localhost:${via.port}`
    const preview = { url: via, headers: { host }, connections: CONNECTIONS, ms }
    const baseline = { url: new URL(`http://127.0.0.1:${direct.port}`), headers: {}, connections: CONNECTIONS, ms }
    const requests: Pair[] = []
    const downloads: Pair[] = []
    const query = `/?bytes=${bytes}`
    for (let at = 0; at < rounds; at++) {
      requests.push({ direct: await httpLoad(baseline), via: await httpLoad(preview) })
    }
    for (let at = 0; at < 2 * rounds; at++) {
      downloads.push({
        direct: await download(new URL(query, baseline.url), {}, bytes),
        via: await download(new URL(query, via), { host }, bytes),
      })
    }
    return {
      name: 'preview',
      n: rounds,
      per_second: middle(requests, (pair) => pair.via),
      baseline_per_second: middle(requests, (pair) => pair.direct),
      ratio: middle(requests, (pair) => pair.via / pair.direct),
      mb_per_s: middle(downloads, (pair) => pair.via),
      baseline_mb_per_s: middle(downloads, (pair) => pair.direct),
      throughput_ratio: middle(downloads, (pair) => pair.via / pair.direct),
    }
  } finally {
    api.close()
    direct.close()
  }
}

async function startInside(daemon: { readonly url: string; readonly apiKey: string }, id: string): Promise<void> {
  const argv = ['node', '-e', SERVER, String(PORT)]
  const response = await fetch(`${daemon.url}/v1/sandboxes/${id}/processes`, {
    method: 'POST',
    headers: { authorization: `Bearer ${daemon.apiKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ command: { argv } }),
  })
  if (!response.ok || response.body === null) throw new Error(`start: ${response.status} ${await response.text()}`)
  const asked = `${daemon.url}/cove.v1.PortService/ListPorts`
  const headers = { authorization: `Bearer ${daemon.apiKey}`, 'content-type': 'application/json' }
  for (;;) {
    const listed = await fetch(asked, { method: 'POST', headers, body: JSON.stringify({ sandbox: id }) })
    const { ports = [] } = (await listed.json()) as { ports?: { port: number; listening?: boolean }[] }
    if (ports.some(({ port, listening }) => port === PORT && listening === true)) break
  }
  await response.body.cancel()
}

async function startOutside() {
  // The one that sandboxes of the template \`host\` see.
  const env = { PATH: '/usr/local/bin:/usr/bin:/bin' }
  const child = spawn('node', ['-e', SERVER], { stdio: ['ignore', 'pipe', 'inherit'], env })
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string]
  return { port: Number(line), close: () => child.kill() }
}

/** MB/s. */
async function download(url: URL, headers: Readonly<Record<string, string>>, bytes: number): Promise<number> {
  const start = performance.now()
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    get(url, { headers, agent: false }, resolve).on('error', reject)
  })
  let received = 0
  response.on('data', (chunk: Buffer) => (received += chunk.length))
  await once(response, 'end')
  if (received !== bytes) throw new Error(`${received} of ${bytes} bytes arrived`)
  return bytes / 1e6 / ((performance.now() - start) / 1000)
}
