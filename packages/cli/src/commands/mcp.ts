import type { Command } from 'commander'
import type { Context } from '../context.ts'
import { whereOf } from '../options/global-options.ts'
import type { Run } from './registry.ts'

interface Parsed {
  /** Commander's name for `--no-start`. */
  readonly start?: boolean
}

export function define(command: Command, { io }: Context, run: Run): void {
  command
    .option('--no-start', 'fail when no local Cove runs, instead of starting one in the background')
    .addHelpText(
      'after',
      `
This is for clients of the Model Context Protocol, which start it themselves:
  { "mcpServers": { "cove": { "command": "cove", "args": ["mcp"] } } }
`,
    )
    .action(() =>
      run(async () => {
        const { serve } = await import('../mcp/serve.ts')
        return serve(whereOf(command), io, command.opts<Parsed>().start !== false)
      }),
    )
}
