import { CoveError } from '@cove/domain'
import type { McpServer, ServerContext, StandardSchemaWithJSON } from '@modelcontextprotocol/server'
import type { Sender, ToolCall } from './call.ts'
import type { McpHouse } from './house.ts'
import { noProgress, openProgress, type Progress } from './progress.ts'
import type { Tool } from './tool.ts'
import { TOOLS } from './tools/tools.ts'

const SCHEMAS = new Map(TOOLS.map((tool) => [tool.name, schemasOf(tool)]))

/** Registers these tools. `senderOf` says who sent the HTTP request of a call. */
export function addTools(
  server: McpServer,
  tools: readonly Tool[],
  house: McpHouse,
  senderOf: (request: Request) => Sender | undefined,
): void {
  for (const tool of tools) {
    const { name, title, description, annotations } = tool
    server.registerTool(name, { title, description, annotations, ...SCHEMAS.get(name) }, async (args, context) => {
      const sender = context.http?.req === undefined ? undefined : senderOf(context.http.req)
      if (sender === undefined) throw new CoveError('internal', 'a call came without its sender')
      let held = 0
      const hold = (bytes: number): void => {
        house.answers.take(bytes)
        held += bytes
      }
      using either = eitherOf(context.mcpReq.signal, sender.principal.ended)
      try {
        return await tool.call(args, { ...toolCall(house, context, sender), signal: either.signal, hold }, sender)
      } finally {
        if (held > 0) void sender.answered.then(() => house.answers.give(held))
      }
    })
  }
}

function toolCall(
  house: McpHouse,
  context: ServerContext,
  { principal, host }: Sender,
): Omit<ToolCall, 'hold' | 'signal'> {
  return {
    ...house,
    caller: principal,
    host,
    progress: progressOf(context),
    noted: { target: '', details: {} },
  }
}

/** Like `AbortSignal.any`, which costs more than the rest of a call where one of them lives as long as a key. */
function eitherOf(call: AbortSignal, key: AbortSignal | undefined): Disposable & { readonly signal: AbortSignal } {
  if (key === undefined) return { signal: call, [Symbol.dispose]: () => undefined }
  const controller = new AbortController()
  const ends = [call, key].map((signal) => {
    const end = (): void => controller.abort(signal.reason)
    if (signal.aborted) end()
    else signal.addEventListener('abort', end, { once: true })
    return () => signal.removeEventListener('abort', end)
  })
  return { signal: controller.signal, [Symbol.dispose]: () => ends.forEach((forget) => forget()) }
}

function progressOf({ mcpReq }: ServerContext): Progress {
  const progressToken = mcpReq._meta?.progressToken
  if (progressToken === undefined) return noProgress
  return openProgress((note) => {
    // A client that has gone away needs no progress; its call hears of that by the signal.
    mcpReq.notify({ method: 'notifications/progress', params: { progressToken, ...note } }).catch(() => undefined)
  })
}

/**
 * The schemas are told as they are; but the library does not check with them: the tools do, and say what is wrong in
 * their own way.
 */
function schemasOf({ inputSchema, outputSchema }: Tool) {
  return { inputSchema: told(inputSchema), outputSchema: told(outputSchema) }
}

function told(schema: Record<string, unknown>): StandardSchemaWithJSON {
  return {
    '~standard': {
      version: 1,
      vendor: 'cove',
      validate: (value) => ({ value }),
      jsonSchema: { input: () => schema, output: () => schema },
    },
  }
}
