import { setTimeout as sleep } from 'node:timers/promises'
import { inputRequired, type McpServer, type ServerNotifier } from '@modelcontextprotocol/server'
import { text } from './samples.ts'

/** Milliseconds that the suite wants between two messages. */
const APART_MS = 50

/** Tools that say something before they answer. */
export function addStreamTools(server: McpServer, notifier: ServerNotifier): void {
  server.registerTool('test_tool_with_logging', { description: 'Logs while it works.' }, async ({ mcpReq }) => {
    for (const line of ['Tool execution started', 'Tool processing data', 'Tool execution completed']) {
      await mcpReq.log('info', line)
      await sleep(APART_MS)
    }
    return { content: [text('Tool with logging executed successfully')] }
  })
  server.registerTool('test_logging_tool', { description: 'Logs once.' }, async ({ mcpReq }) => {
    await mcpReq.log('info', 'Tool execution started')
    return { content: [text('logged')] }
  })
  server.registerTool('test_tool_with_progress', { description: 'Tells its progress.' }, async ({ mcpReq }) => {
    const progressToken = mcpReq._meta?.progressToken
    for (const progress of [0, 50, 100]) {
      if (progressToken !== undefined) {
        const params = { progressToken, progress, total: 100 }
        await mcpReq.notify({ method: 'notifications/progress', params })
      }
      await sleep(APART_MS)
    }
    return { content: [text('Tool with progress executed successfully')] }
  })
  server.registerTool('test_trigger_tool_change', { description: 'Says that the tools have changed.' }, () => {
    notifier.toolsChanged()
    return { content: [text('told')] }
  })
  server.registerTool('test_trigger_prompt_change', { description: 'Says that the prompts have changed.' }, () => {
    notifier.promptsChanged()
    return { content: [text('told')] }
  })
  server.registerTool('test_streaming_elicitation', { description: 'Asks for input.' }, () =>
    inputRequired({
      inputRequests: {
        name: inputRequired.elicit({
          message: 'What is your name?',
          requestedSchema: { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] },
        }),
      },
    }),
  )
}
