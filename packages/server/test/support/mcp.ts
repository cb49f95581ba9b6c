import { Client, StreamableHTTPClientTransport, type CallToolResult } from '@modelcontextprotocol/client'
import type { CodeResult, RunCode, Runtimes } from '../../src/index.ts'
import { KEY } from './harness.ts'

/** How the official client negotiates: revision 2025-11-25 with a session, or 2026-07-28 without. */
export const ERAS = ['legacy', 'modern'] as const
export type Era = (typeof ERAS)[number]

const MODES = { legacy: 'legacy', modern: { pin: '2026-07-28' } } as const

export interface McpCaller extends AsyncDisposable {
  readonly client: Client
  readonly sessionId: string | undefined
  call(name: string, args?: Record<string, unknown>, options?: CallOptions): Promise<Called>
}

interface CallOptions {
  readonly signal?: AbortSignal
  readonly onprogress?: (note: { progress: number; message?: string | undefined }) => void
}

export interface Called {
  readonly isError: boolean
  /** The first block of text. */
  readonly text: string
  readonly facts: Record<string, unknown>
  readonly result: CallToolResult
}

/** The official client, connected over Streamable HTTP. */
export async function connectMcp(base: string, era: Era, key: string = KEY): Promise<McpCaller> {
  const client = new Client({ name: 'test', version: '1' }, { versionNegotiation: { mode: MODES[era] } })
  const transport = new StreamableHTTPClientTransport(new URL('/mcp', base), {
    requestInit: { headers: { authorization: `Bearer ${key}` } },
  })
  await client.connect(transport)
  return mcpCaller(client, () => transport.sessionId)
}

export function mcpCaller(client: Client, sessionId: () => string | undefined = () => undefined): McpCaller {
  return {
    client,
    get sessionId() {
      return sessionId()
    },
    async call(name, args = {}, options = {}) {
      const result = await client.callTool({ name, arguments: args }, options)
      const [first] = result.content
      return {
        isError: result.isError === true,
        text: first?.type === 'text' ? first.text : '',
        facts: (result.structuredContent ?? {}) as Record<string, unknown>,
        result,
      }
    },
    [Symbol.asyncDispose]: () => client.close(),
  }
}

/** Creates an environment, for `python` unless told otherwise, and answers with its id. */
export async function createEnvironment(caller: McpCaller, args: Record<string, unknown> = {}): Promise<string> {
  const { facts, text, isError } = await caller.call('create_environment', { runtime: 'python', ...args })
  if (isError) throw new Error(text)
  return String(facts['environment_id'])
}

/** Runtimes that only say what they were asked; code `wait` runs until its signal aborts. */
export class StubRuntimes implements Runtimes {
  readonly names = ['python', 'node', 'shell'] as const
  readonly asked: RunCode[] = []
  /** Settles when waiting code was begun, and when it was ended. */
  readonly waiting = Promise.withResolvers<void>()
  readonly ended = Promise.withResolvers<void>()

  async run(_caller: unknown, _sandbox: string, request: RunCode, signal: AbortSignal): Promise<CodeResult> {
    this.asked.push(request)
    if (request.code === 'wait') {
      this.waiting.resolve()
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))).finally(
        this.ended.resolve,
      )
    }
    const bytes = Buffer.from(`ran ${request.runtime}\n`)
    request.onOutput?.('stdout', bytes)
    return codeResult(bytes)
  }

  async environment(): Promise<Record<string, string>> {
    return {}
  }

  async install(
    _caller: unknown,
    _sandbox: string,
    { packages }: { packages: readonly string[] },
  ): Promise<CodeResult> {
    return codeResult(Buffer.from(packages.join(',')))
  }
}

function codeResult(bytes: Uint8Array): CodeResult {
  const nothing = { bytes: new Uint8Array(), omitted: 0 }
  return {
    stdout: { bytes, omitted: 0 },
    stderr: nothing,
    exit: { kind: 'exited', code: 0 },
    timedOut: false,
    durationMs: 1,
  }
}
