import { Agent, request } from 'node:http'

/** The smallest client of the JSON surface: what a program in any language would send. */
export class Api {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 64 })
  readonly #url: string
  readonly #key: string

  constructor(daemon: { readonly url: string; readonly apiKey: string }) {
    this.#url = daemon.url
    this.#key = daemon.apiKey
  }

  async call<Answer>(method: string, body: object): Promise<Answer> {
    const payload = Buffer.from(JSON.stringify(body))
    return new Promise((resolve, reject) => {
      const sent = request(
        `${this.#url}/cove.v1.${method}`,
        {
          method: 'POST',
          agent: this.#agent,
          headers: {
            'content-type': 'application/json',
            'content-length': payload.length,
            authorization: `Bearer ${this.#key}`,
          },
        },
        (response) => {
          const chunks: Buffer[] = []
          response.on('data', (chunk: Buffer) => chunks.push(chunk))
          response.on('error', reject)
          response.on('end', () => {
            const text = Buffer.concat(chunks).toString('utf8')
            if (response.statusCode !== 200) reject(new Error(`${method}: ${response.statusCode} ${text}`))
            else resolve(JSON.parse(text) as Answer)
          })
        },
      )
      sent.on('error', reject)
      sent.end(payload)
    })
  }

  async create(request_: object = {}): Promise<string> {
    const { sandbox } = await this.call<{ sandbox: { id: string } }>('SandboxService/CreateSandbox', request_)
    return sandbox.id
  }

  async run(sandbox: string, argv: readonly string[]): Promise<void> {
    const answer = await this.call<{ process: { exit?: { kind: string; code?: number } } }>(
      'ProcessService/RunProcess',
      {
        sandbox,
        command: { argv },
      },
    )
    if (answer.process.exit?.kind !== 'KIND_EXITED' || (answer.process.exit.code ?? 0) !== 0) {
      throw new Error(`${argv.join(' ')}: ${JSON.stringify(answer.process.exit)}`)
    }
  }

  async delete(id: string): Promise<void> {
    await this.call('SandboxService/DeleteSandbox', { id })
  }

  close(): void {
    this.#agent.destroy()
  }
}
