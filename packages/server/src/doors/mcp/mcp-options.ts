import type { McpServer } from '@modelcontextprotocol/server'
import type { RuntimeCommands } from '../../runtimes/commands.ts'
import type { Runtimes } from '../../runtimes/runtimes.ts'
import type { McpSettings } from './settings.ts'

/** Adds tools, prompts and resources to every server of the protocol. */
export type McpFixtures = (server: McpServer) => void

/** How the MCP door is set up; absent parts have their defaults. */
export interface McpOptions {
  readonly settings?: Partial<McpSettings>
  /** In place of what is found in sandboxes. */
  readonly commands?: RuntimeCommands
  /** In place of the real ones. */
  readonly runtimes?: Runtimes
  /** What a conformance suite asks for; nothing sets it in an ordinary start. */
  readonly fixtures?: McpFixtures
}
