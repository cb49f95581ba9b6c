import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { TestImage } from './test-image.ts'

/** Answers a request, or leaves it to the registry's good manners by returning false. */
export type Script = (request: IncomingMessage, response: ServerResponse, path: string) => boolean | Promise<boolean>

/** Serves one image of an OCI layout under every name and tag, and misbehaves as a test says. */
export class ScriptedRegistry implements AsyncDisposable {
  /** `127.0.0.1:port`. */
  readonly host: string
  /** What has been asked for, in order: method and path. */
  readonly asked: IncomingMessage[] = []
  readonly #server: Server

  private constructor(server: Server, host: string) {
    this.#server = server
    this.host = host
  }

  static async start(
    image: TestImage,
    script: Script = () => false,
    { address = '127.0.0.1', tls }: { readonly address?: string; readonly tls?: { key: string; cert: string } } = {},
  ): Promise<ScriptedRegistry> {
    const listener: RequestListener = (request, response) => {
      registry.asked.push(request)
      const path = (request.url ?? '').replace(/^\/v2\/.*\/(manifests|blobs)\//, '$1/')
      Promise.resolve(script(request, response, path)).then(
        (done) => (done ? undefined : answer(image, request, response, path)),
        (error: unknown) => response.destroy(error instanceof Error ? error : undefined),
      )
    }
    const server = tls === undefined ? createServer(listener) : createSecureServer(tls, listener)
    server.listen(0, address)
    await once(server, 'listening')
    const bound = server.address()
    const port = typeof bound === 'object' && bound !== null ? bound.port : 0
    const registry = new ScriptedRegistry(server, `${address}:${port}`)
    return registry
  }

  /** Paths of what was asked for. */
  get paths(): readonly string[] {
    return this.asked.map(({ url }) => url ?? '')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.#server.closeAllConnections()
    await closed
  }
}

function answer(image: TestImage, request: IncomingMessage, response: ServerResponse, path: string): void {
  const [kind, name = ''] = path.split('/')
  const index = JSON.parse(readFileSync(`${image.folder}/index.json`, 'utf8')) as {
    readonly manifests: readonly [{ readonly digest: string }]
  }
  const digest = kind === 'manifests' && !name.startsWith('sha256:') ? index.manifests[0].digest : name
  let bytes: Buffer
  try {
    bytes = readFileSync(image.blob(digest))
  } catch {
    response.writeHead(404, { 'Content-Type': 'application/json' })
    response.end('{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}')
    return
  }
  const headers = { 'Docker-Content-Digest': digest, ETag: `"${digest}"` }
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
  if (from > 0) {
    const range = { 'Content-Range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` }
    response.writeHead(206, { ...headers, ...range, 'Content-Length': bytes.length - from })
  } else response.writeHead(200, { ...headers, 'Content-Length': bytes.length })
  response.end(bytes.subarray(from))
}
