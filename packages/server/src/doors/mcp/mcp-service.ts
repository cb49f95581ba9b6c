import { CoveError } from '@cove/domain'
import {
  McpServer,
  WebStandardStreamableHTTPServerTransport,
  createMcpHandler,
  isInitializeRequest,
  isJsonContentType,
  isLegacyRequest,
  type McpHttpHandler,
  type McpRequestContext,
} from '@modelcontextprotocol/server'
import type { Sender } from './call.ts'
import type { McpHouse } from './house.ts'
import type { McpFixtures } from './mcp-options.ts'
import { addTools } from './add-tools.ts'
import { Room } from './room.ts'
import { RPC, requestIdOfMessage, rpcError } from './rpc-error.ts'
import { Sessions } from './sessions.ts'
import { MCP_LIMITS } from './settings.ts'
import type { Tool } from './tool.ts'
import { TOOLS } from './tools/tools.ts'

export interface McpServiceOptions extends Omit<McpHouse, 'making' | 'answers'> {
  readonly version: string
  /** Milliseconds of silence after which a stream sends a sign of life. */
  readonly keepAliveMs: number
  readonly fixtures?: McpFixtures
}

const INSTRUCTIONS = `Cove runs code in sandboxes ("environments"), each an isolated computer. Create one with \
create_environment, then use execute, the file tools, install_packages, and start_process for servers and other \
things that go on running. Files and installed packages stay until the environment ends. Environments are found \
again by id or name with list_environments, also after a reconnect. Destroy what is no longer needed.`

/** Both eras of the protocol behind one address: what a client sends says which one it speaks. */
export class McpService {
  readonly #options: McpServiceOptions
  readonly #house: McpHouse
  readonly #sessions: Sessions
  /** Who sent what is being answered; the protocol's library hands its requests through to the tools. */
  readonly #senders = new WeakMap<Request, Sender>()
  /** The one tool that a request calls: a server that lives for one request needs no other. */
  readonly #called = new WeakMap<Request, Tool>()
  /** Answers in a stream from the start, so that nothing on the way gives up a call that takes long. */
  readonly #calls: McpHttpHandler
  readonly #others: McpHttpHandler

  constructor(options: McpServiceOptions) {
    this.#options = options
    this.#house = { ...options, making: new Set(), answers: new Room(options.settings.filesBytes) }
    this.#sessions = new Sessions(() => options.clock.monotonic())
    const modern = {
      legacy: 'reject',
      keepAliveMs: options.keepAliveMs,
      maxSubscriptions: MCP_LIMITS.subscriptions,
      onerror: (error: Error) => options.log.debug('an MCP request was refused', { error: error.message }),
    } as const
    const factory = ({ requestInfo }: McpRequestContext): McpServer => {
      return this.#newServer(requestInfo && this.#called.get(requestInfo))
    }
    this.#calls = createMcpHandler(factory, { ...modern, responseMode: 'sse' })
    this.#others = createMcpHandler(factory, modern)
  }

  /** Answers one HTTP request; `body` is its parsed body, undefined for GET and DELETE. */
  async answer(request: Request, body: unknown, sender: Sender): Promise<ServiceAnswer> {
    if (request.method === 'POST' && !isJsonContentType(request.headers.get('content-type'))) {
      const error = new CoveError('invalid-argument', 'Content-Type must be application/json')
      return { response: rpcError(415, RPC.server, error), using: nothing }
    }
    this.#senders.set(request, sender)
    if (await isLegacyRequest(request, body)) return this.#legacy(request, body, sender)
    const tool = calledTool(body)
    if (tool !== undefined) this.#called.set(request, tool)
    const handler = tool?.takesLong === true ? this.#calls : this.#others
    return { response: await handler.fetch(request, { parsedBody: body }), using: nothing }
  }

  /** Ends every stream on which a client only waits; calls under way go on. */
  async endStreams(): Promise<void> {
    this.#sessions.endStreams()
    await this.#others.close()
  }

  async close(): Promise<void> {
    this.#sessions.endAll()
    await Promise.all([this.#others.close(), this.#calls.close()])
  }

  async #legacy(request: Request, body: unknown, sender: Sender): Promise<ServiceAnswer> {
    const id = request.headers.get('mcp-session-id')
    if (id === null) {
      if (isInitializeRequest(body)) return this.#open(request, body, sender)
      const error = new CoveError(
        'invalid-argument',
        'the request has no Mcp-Session-Id',
        {},
        { fix: 'Send an initialize request first, and its Mcp-Session-Id with every later one.' },
      )
      return { response: rpcError(400, RPC.server, error, requestIdOfMessage(body)), using: nothing }
    }
    const session = this.#sessions.find(id, sender.principal)
    if (session === undefined) {
      const error = new CoveError(
        'invalid-argument',
        'Session not found',
        {},
        { fix: 'Send an initialize request to open a new session; environments are still there.' },
      )
      return { response: rpcError(404, RPC.sessionNotFound, error, requestIdOfMessage(body)), using: nothing }
    }
    const using = this.#sessions.use(id)
    try {
      return { response: await session.transport.handleRequest(request, parsed(body)), using }
    } catch (error) {
      using[Symbol.dispose]()
      throw error
    }
  }

  async #open(request: Request, body: unknown, sender: Sender): Promise<ServiceAnswer> {
    const server = this.#newServer()
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: () => Buffer.from(this.#options.random.bytes(24)).toString('base64url'),
      onsessioninitialized: (id) => this.#sessions.add(id, sender.principal, { server, transport }),
      onsessionclosed: (id) => this.#sessions.remove(id),
      keepAliveMs: this.#options.keepAliveMs,
    })
    await server.connect(transport)
    const response = await transport.handleRequest(request, parsed(body))
    if (transport.sessionId === undefined) await server.close()
    return { response, using: this.#sessions.use(transport.sessionId) }
  }

  #newServer(only?: Tool): McpServer {
    const { version, fixtures } = this.#options
    const server = new McpServer(
      { name: 'cove', title: 'Cove', version },
      // The tools are the same for ever, so that nobody has to listen for changes.
      { instructions: INSTRUCTIONS, capabilities: { tools: { listChanged: false } }, ...fixtures?.options },
    )
    addTools(server, only === undefined ? TOOLS : [only], this.#house, (request) => this.#senders.get(request))
    fixtures?.add(server, this.#others.notify)
    return server
  }
}

export interface ServiceAnswer {
  readonly response: Response
  /** To be disposed when the answer has been sent. */
  readonly using: Disposable
}

const nothing: Disposable = { [Symbol.dispose]: () => undefined }

function parsed(body: unknown): { parsedBody?: unknown } {
  return body === undefined ? {} : { parsedBody: body }
}

/** Undefined for other messages, and for tools that are not Cove's. */
function calledTool(body: unknown): Tool | undefined {
  if (typeof body !== 'object' || body === null || !('method' in body) || body.method !== 'tools/call') return undefined
  const params = 'params' in body ? body.params : undefined
  const name = typeof params === 'object' && params !== null && 'name' in params ? params.name : undefined
  return TOOLS.find((tool) => tool.name === name)
}
