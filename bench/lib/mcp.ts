import { Agent, request } from 'node:http'

const REVISION = '2026-07-28'

interface Answer {
  readonly result?: { readonly isError?: boolean; readonly structuredContent?: Record<string, unknown> }
}

/** The smallest client of the MCP door: one POST for each call, over one connection, as the stateless revision has it. */
export class Mcp implements Disposable {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 })
  readonly #url: URL
  readonly #key: string
  #id = 0

  constructor(daemon: { readonly url: string; readonly apiKey: string }) {
    this.#url = new URL('/mcp', daemon.url)
    this.#key = daemon.apiKey
  }

  async call(name: string, args: object): Promise<Record<string, unknown>> {
    const _meta = {
      'io.modelcontextprotocol/protocolVersion': REVISION,
      'io.modelcontextprotocol/clientInfo': { name: 'bench', version: '1' },
      'io.modelcontextprotocol/clientCapabilities': {},
    }
    const params = { name, arguments: args, _meta }
    const text = await this.#post(
      JSON.stringify({ jsonrpc: '2.0', id: ++this.#id, method: 'tools/call', params }),
      name,
    )
    const data = text.startsWith('{') ? text : /^data: (.*)$/m.exec(text)?.[1]
    const { result } = JSON.parse(data ?? '{}') as Answer
    if (result?.structuredContent === undefined || result.isError === true) throw new Error(`${name}: ${text}`)
    return result.structuredContent
  }

  #post(payload: string, name: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const headers = {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        'content-length': Buffer.byteLength(payload),
        authorization: `Bearer ${this.#key}`,
        'mcp-protocol-version': REVISION,
        'mcp-method': 'tools/call',
        'mcp-name': name,
      }
      const sent = request(this.#url, { method: 'POST', agent: this.#agent, headers }, (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')))
      })
      sent.on('error', reject)
      sent.end(payload)
    })
  }

  [Symbol.dispose](): void {
    this.#agent.destroy()
  }
}
