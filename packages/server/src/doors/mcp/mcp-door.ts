import { CoveError } from '@cove/domain'
import { unauthenticated } from '../../auth/credentials.ts'
import type { ServerLimits } from '../../options.ts'
import type { Door } from '../door.ts'
import { authorityOf, clientSignal, isGone, type Exchange, type Response } from '../exchange.ts'
import { endUnread } from '../json-error.ts'
import { Bodies } from './bodies.ts'
import { sendWebResponse, toWebRequest } from './exchange-web.ts'
import type { McpOptions } from './mcp-options.ts'
import type { McpService, McpServiceOptions } from './mcp-service.ts'
import { Refusal } from './refusal.ts'
import { RPC } from './rpc-error.ts'
import { DEFAULT_MCP_SETTINGS } from './settings.ts'

export interface McpDoorOptions
  extends McpOptions, Omit<McpServiceOptions, 'keepAliveMs' | 'runtimes' | 'settings' | 'fixtures'> {
  readonly limits: ServerLimits
  readonly closing: AbortSignal
}

const METHODS: ReadonlySet<string> = new Set(['GET', 'POST', 'DELETE'])

/** The Model Context Protocol over Streamable HTTP. What speaks it is loaded at the first request. */
export class McpDoor implements Door {
  readonly name = 'mcp'
  readonly #options: McpDoorOptions
  readonly #bodies: Bodies
  #service: Promise<McpService> | undefined

  constructor(options: McpDoorOptions) {
    this.#options = options
    this.#bodies = new Bodies(options.limits.unaryBodyMs)
  }

  serves(path: string): boolean {
    return path === '/mcp' || path === '/mcp/'
  }

  isOpen(): boolean {
    return false
  }

  async handle(exchange: Exchange): Promise<void> {
    try {
      await this.#answer(exchange)
    } catch (thrown) {
      if (!(thrown instanceof Refusal)) throw thrown
      endUnread(exchange)
      await sendWebResponse(exchange, thrown.response)
    }
  }

  /** Ends what is still being answered. */
  async close(): Promise<void> {
    const service = await this.#service
    await service?.close()
  }

  async #answer(exchange: Exchange): Promise<void> {
    const { request, response, principal, requestId, from } = exchange
    if (principal === undefined) throw unauthenticated()
    this.#options.closing.throwIfAborted()
    const method = request.method ?? ''
    if (!METHODS.has(method)) {
      response.setHeader('allow', [...METHODS].join(', '))
      throw new Refusal(405, RPC.server, new CoveError('unsupported', 'Method not allowed', {}, { fix: 'Use POST.' }))
    }
    using body = method === 'POST' ? await this.#bodies.read(request) : undefined
    const service = await this.#loaded()
    const signal = clientSignal(response, principal.ended)
    const sender = { principal, requestId, from, host: authorityOf(request), answered: ended(response) }
    const answer = await service.answer(toWebRequest(exchange, signal), body?.message, sender)
    using held = answer.using
    void held
    await sendWebResponse(exchange, answer.response)
  }

  #loaded(): Promise<McpService> {
    this.#service ??= this.#load().catch((error: unknown) => {
      this.#service = undefined
      throw error
    })
    return this.#service
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

function ended(response: Response): Promise<void> {
  if (isGone(response)) return Promise.resolve()
  return new Promise((resolve) => response.once('close', resolve))
}
