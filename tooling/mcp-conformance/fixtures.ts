import { randomBytes } from 'node:crypto'
import type { McpFixtures } from '@cove/server'
import { createRequestStateCodec } from '@modelcontextprotocol/server'
import { addContentTools } from './content-tools.ts'
import { addInputTools } from './input-tools.ts'
import { addPrompts } from './prompts.ts'
import { addResources } from './resources.ts'
import { addStreamTools } from './stream-tools.ts'

/** What the suite expects a server under test to have besides its own. */
export function conformanceFixtures(): McpFixtures {
  const codec = createRequestStateCodec<string>({ key: randomBytes(32) })
  return {
    options: {
      capabilities: {
        tools: { listChanged: true },
        prompts: { listChanged: true },
        resources: { listChanged: true, subscribe: true },
        logging: {},
        completions: {},
      },
      requestState: { verify: (state, context) => codec.verify(state, context) },
    },
    add(server, notifier) {
      addContentTools(server)
      addStreamTools(server, notifier)
      addInputTools(server, codec)
      addPrompts(server)
      addResources(server)
    },
  }
}
