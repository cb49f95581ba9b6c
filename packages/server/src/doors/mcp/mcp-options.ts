import type { McpServer, McpServerOptions, ServerNotifier } from '@modelcontextprotocol/server'
import type { RuntimeCommands } from '../../runtimes/commands.ts'
import type { Runtimes } from '../../runtimes/runtimes.ts'
import type { McpSettings } from './settings.ts'

/** What a conformance suite asks every server of the protocol to have besides its own. */
export interface McpFixtures {
  readonly options: McpServerOptions
  /** Adds tools, prompts and resources; `notifier` reaches the clients that have subscribed. */
  add(server: McpServer, notifier: ServerNotifier): void
}

/** How the MCP door is set up; absent parts have their defaults. */
export interface McpOptions {
  readonly settings?: Partial<McpSettings>
  /** In place of what is found in sandboxes. */
  readonly commands?: RuntimeCommands
  /** In place of the real ones. */
  readonly runtimes?: Runtimes
  /** Nothing sets it in an ordinary start. */
  readonly fixtures?: McpFixtures
}
