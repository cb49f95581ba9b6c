import { createServer, request } from 'node:http'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Api } from './lib/api.ts'
import { startDaemon } from './lib/daemon.ts'
import { round, type Benchmark } from './lib/result.ts'

const MIB = 1024 * 1024

type Fields = Readonly<Record<string, string>>

/** Upload and download of one file over plain HTTP, against raw node:http into a file. */
export const run: Benchmark = async ({ quick }) => {
  const bytes = (quick ? 256 : 1024) * MIB
  await using daemon = await startDaemon()
  const api = new Api(daemon)
  const id = await api.create()
  const target = `${daemon.url}/v1/sandboxes/${id}/files?path=/home/user/big`
  const headers = { authorization: `Bearer ${daemon.apiKey}` }
  const raw = await rawTransfer(bytes)
  const before = await residentMib(daemon.pid)
  const up = bytes / 1e6 / (await upload(target, headers, bytes))
  const down = bytes / 1e6 / (await download(target, headers, bytes))
  const after = await residentMib(daemon.pid)
  api.close()
  return {
    name: 'files',
    n: 1,
    mb_per_s: round(Math.min(up, down)),
    upload_mb_per_s: round(up),
    download_mb_per_s: round(down),
    baseline_mb_per_s: round(raw),
    ratio: round(Math.min(up, down) / raw),
    daemon_growth_mib: round(after - before),
  }
}

function* content(bytes: number): Generator<Buffer> {
  const chunk = Buffer.alloc(262_144, 7)
  for (let left = bytes; left > 0; left -= chunk.length) yield left >= chunk.length ? chunk : chunk.subarray(0, left)
}

async function upload(url: string, headers: Fields, bytes: number): Promise<number> {
  const start = performance.now()
  const sent = request(url, {
    method: 'PUT',
    headers: { ...headers, 'content-length': bytes },
  })
  const answered = once(sent, 'response') as Promise<[import('node:http').IncomingMessage]>
  await pipeline(Readable.from(content(bytes)), sent)
  const [response] = await answered
  const body = await response.toArray()
  if ((response.statusCode ?? 500) >= 300)
    throw new Error(`upload: ${response.statusCode} ${Buffer.concat(body as Buffer[]).toString()}`)
  return (performance.now() - start) / 1000
}

async function download(url: string, headers: Fields, bytes: number): Promise<number> {
  const start = performance.now()
  const sent = request(url, { headers }).end()
  const [response] = (await once(sent, 'response')) as [import('node:http').IncomingMessage]
  let received = 0
  for await (const chunk of response) received += (chunk as Buffer).length
  if (received !== bytes) throw new Error(`download: ${response.statusCode}, ${received} of ${bytes} bytes`)
  return (performance.now() - start) / 1000
}

async function rawTransfer(bytes: number): Promise<number> {
  const file = join(tmpdir(), `cove-bench-raw-${process.pid}`)
  const server = createServer((incoming, response) => {
    pipeline(incoming, createWriteStream(file)).then(
      () => response.end(),
      () => response.destroy(),
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no address')
  try {
    return bytes / 1e6 / (await upload(`http://127.0.0.1:${address.port}/`, {}, bytes))
  } finally {
    server.close()
    server.closeAllConnections()
    await rm(file, { force: true })
  }
}

async function residentMib(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024
}
