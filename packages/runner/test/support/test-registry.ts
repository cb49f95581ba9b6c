import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'

/** A registry on loopback with one image, `<address>/test/box:1`. */
export class TestRegistry implements AsyncDisposable {
  readonly image: string
  readonly #server: Server

  private constructor(server: Server) {
    this.#server = server
    this.image = `127.0.0.1:${(server.address() as AddressInfo).port}/test/box:1`
  }

  /** With one layer: a root file system as a tar archive. */
  static async start(archive: Uint8Array): Promise<TestRegistry> {
    const layer = gzipSync(archive)
    const config = Buffer.from(
      JSON.stringify({
        architecture: 'amd64',
        os: 'linux',
        config: { Env: ['PATH=/bin'], Labels: { random: randomBytes(8).toString('hex') } },
        rootfs: { type: 'layers', diff_ids: [digestOf(archive)] },
      }),
    )
    const type = 'application/vnd.docker.distribution.manifest.v2+json'
    const image = 'application/vnd.docker.container.image.v1+json'
    const diff = 'application/vnd.docker.image.rootfs.diff.tar.gzip'
    const manifest = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: type,
        config: { mediaType: image, size: config.length, digest: digestOf(config) },
        layers: [{ mediaType: diff, size: layer.length, digest: digestOf(layer) }],
      }),
    )
    const answers = new Map<string, readonly [Buffer, string]>([
      ['/v2/', [Buffer.from('{}'), 'application/json']],
      ['/v2/test/box/manifests/1', [manifest, type]],
      [`/v2/test/box/manifests/${digestOf(manifest)}`, [manifest, type]],
      [`/v2/test/box/blobs/${digestOf(config)}`, [config, 'application/octet-stream']],
      [`/v2/test/box/blobs/${digestOf(layer)}`, [layer, 'application/octet-stream']],
    ])
    const server = createServer((request, response) => {
      const [body, contentType] = answers.get(request.url ?? '') ?? []
      if (body === undefined) {
        response.writeHead(404, { 'content-type': 'application/json' }).end('{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')
        return
      }
      const headers = {
        'content-type': contentType,
        'content-length': body.length,
        'docker-content-digest': digestOf(body),
        'docker-distribution-api-version': 'registry/2.0',
      }
      response.writeHead(200, headers).end(request.method === 'HEAD' ? undefined : body)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new TestRegistry(server)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }
}

const digestOf = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`
