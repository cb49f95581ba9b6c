import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { Readable } from 'node:stream'

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly trailers: NodeJS.Dict<string>
  readonly body: Buffer
  readonly text: string
}

export interface Asked {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  readonly body?: Uint8Array | string | Readable
}

/** Asks the daemon at `url` for a path of another host, as a browser that resolves `*.localhost` does. */
export function askHost(url: string, host: string, path: string, asked: Asked = {}): Promise<Answer> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const sent = httpRequest(
      {
        hostname,
        port,
        path,
        method: asked.method ?? 'GET',
        headers: { host, ...(asked.headers as Record<string, string>) },
      },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          const body = Buffer.concat(chunks)
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            trailers: response.trailers,
            body,
            text: body.toString('utf8'),
          })
        })
      },
    )
    sent.on('error', reject)
    if (asked.body instanceof Readable) asked.body.pipe(sent)
    else sent.end(asked.body)
  })
}
