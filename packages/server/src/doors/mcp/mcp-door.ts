import { CoveError } from '@cove/domain'
import { unauthenticated } from '../../auth/credentials.ts'
import type { ServerLimits } from '../../options.ts'
import type { Door } from '../door.ts'
import { authorityOf, clientSignal, type Exchange } from '../exchange.ts'
import { endUnread } from '../json-error.ts'
import { readBody } from '../read-body.ts'
import { sendWebResponse, toWebRequest } from './exchange-web.ts'
import type { McpOptions } from './mcp-options.ts'
import type { McpService, McpServiceOptions } from './mcp-service.ts'
import { RPC, rpcError } from './rpc-error.ts'
import { DEFAULT_MCP_SETTINGS, MCP_LIMITS } from './settings.ts'

export interface McpDoorOptions
  extends McpOptions, Omit<McpServiceOptions, 'keepAliveMs' | 'runtimes' | 'settings' | 'fixtures'> {
  readonly limits: ServerLimits
  readonly closing: AbortSignal
}

/** The Model Context Protocol over Streamable HTTP. What speaks it is loaded at the first request. */
export class McpDoor implements Door {
  readonly name = 'mcp'
  readonly #options: McpDoorOptions
  #service: Promise<McpService> | undefined
  #bodyBytes = 0

  constructor(options: McpDoorOptions) {
    this.#options = options
  }

  serves(path: string): boolean {
    return path === '/mcp'
  }

  isOpen(): boolean {
    return false
  }

  async handle(exchange: Exchange): Promise<void> {
    const { principal, requestId, from } = exchange
    const { closing } = this.#options
    if (principal === undefined) throw unauthenticated()
    if (!METHODS.has(exchange.request.method ?? '')) return refuseMethod(exchange)
    closing.throwIfAborted()
    let bytes = 0
    try {
      const announced = this.#announced(exchange)
      this.#bodyBytes += bytes = announced
      const body = exchange.request.method === 'POST' ? await this.#body(exchange) : undefined
      if (body !== undefined) {
        this.#bodyBytes += body.bytes - bytes
        bytes = body.bytes
      }
      const service = await this.#loaded()
      const gone = clientSignal(exchange.response)
      const signal = principal.ended === undefined ? gone : AbortSignal.any([gone, principal.ended])
      const request = toWebRequest(exchange, signal)
      const sender = { principal, requestId, from, host: authorityOf(exchange.request) }
      const { response, using } = await service.answer(request, body?.message, sender)
      using held = using
      void held
      await sendWebResponse(exchange, response)
    } catch (thrown) {
      if (!(thrown instanceof Refusal)) throw thrown
      endUnread(exchange)
      await sendWebResponse(exchange, thrown.response)
    } finally {
      this.#bodyBytes -= bytes
    }
  }

  /** Bytes that the body takes, before it is read; refuses what is too much for one, or for all together. */
  #announced({ request }: Exchange): number {
    if (request.method !== 'POST') return 0
    const header = request.headers['content-length']
    const bytes = header === undefined ? MCP_LIMITS.bodyBytes : Number(header)
    if (bytes > MCP_LIMITS.bodyBytes) throw tooLarge()
    if (this.#bodyBytes + bytes <= MCP_LIMITS.allBodyBytes) return bytes
    const error = new CoveError('busy', 'too many large requests are being answered', {}, { fix: 'Try again shortly.' })
    throw new Refusal(rpcError(503, RPC.server, error))
  }

  async #body({ request }: Exchange): Promise<{ bytes: number; message: unknown }> {
    let body: Buffer
    try {
      body = await readBody(request, { bytes: MCP_LIMITS.bodyBytes, ms: this.#options.limits.unaryBodyMs })
    } catch (thrown) {
      const error = CoveError.from(thrown)
      if (error.code === 'payload-too-large') throw tooLarge()
      if (error.code === 'deadline-exceeded') throw new Refusal(rpcError(408, RPC.server, error))
      throw error
    }
    try {
      return { bytes: body.length, message: JSON.parse(body.toString('utf8')) as unknown }
    } catch {
      const error = new CoveError('invalid-argument', 'Parse error: the body is not JSON')
      throw new Refusal(rpcError(400, RPC.parse, error))
    }
  }

  /** Ends what is still being answered. */
  async close(): Promise<void> {
    const service = await this.#service
    await service?.close()
  }

  #loaded(): Promise<McpService> {
    return (this.#service ??= this.#load())
  }

  async #load(): Promise<McpService> {
    const { limits, closing, settings, commands = {}, ...options } = this.#options
    const [{ McpService }, { openRuntimes }] = await Promise.all([
      import('./mcp-service.ts'),
      import('../../runtimes/open-runtimes.ts'),
    ])
    const service = new McpService({
      ...options,
      runtimes: options.runtimes ?? openRuntimes({ ...options, commands }),
      settings: { ...DEFAULT_MCP_SETTINGS, ...settings },
      keepAliveMs: limits.keepAliveMs,
    })
    const end = (): void => {
      service.endStreams().catch((error: unknown) => options.log.warn('a stream did not end', { error: String(error) }))
    }
    if (closing.aborted) end()
    else closing.addEventListener('abort', end, { once: true })
    return service
  }
}

const METHODS: ReadonlySet<string> = new Set(['GET', 'POST', 'DELETE'])

function refuseMethod(exchange: Exchange): Promise<void> {
  const error = new CoveError('unsupported', 'Method not allowed', {}, { fix: 'Send messages with POST.' })
  exchange.response.setHeader('allow', [...METHODS].join(', '))
  endUnread(exchange)
  return sendWebResponse(exchange, rpcError(405, RPC.server, error))
}

/** An answer that is given instead of the service's. */
class Refusal extends Error {
  readonly response: Response

  constructor(response: Response) {
    super('refused')
    this.response = response
  }
}

function tooLarge(): Refusal {
  const { bodyBytes, codeBytes } = MCP_LIMITS
  const error = new CoveError(
    'payload-too-large',
    `a request may have at most ${bodyBytes} bytes`,
    {},
    {
      fix: `Code may have at most ${codeBytes} bytes; write larger things in parts, or with PUT /v1/sandboxes/<id>/files.`,
    },
  )
  return new Refusal(rpcError(413, RPC.server, error))
}
