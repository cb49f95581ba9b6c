import { join } from 'node:path'
import { IN_CHECKOUT, PACKAGE_ROOT } from '../package-root.ts'

interface Facts {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly dataDir: string
  /** The data directory that is found without being named. */
  readonly usualDataDir: string
}

/**
 * What a client of the Model Context Protocol is configured with, in one line of JSON as most of them read it. No key
 * is in it: `cove mcp` finds the one of this machine.
 */
export function clientConfig({ env, dataDir, usualDataDir }: Facts): string {
  const [command = 'cove', ...before] = programOf(env)
  const variables = dataDir === usualDataDir ? {} : { env: { COVE_DATA_DIR: dataDir } }
  return JSON.stringify({ mcpServers: { cove: { command, args: [...before, 'mcp'], ...variables } } })
}

/** Clients start it from a folder of their own, so that a path has to be whole. */
function programOf(env: Facts['env']): readonly string[] {
  if (IN_CHECKOUT) return [join(PACKAGE_ROOT, '../../cove')]
  return env['npm_command'] === 'exec' ? ['npx', '-y', 'cove-sandboxes'] : ['cove']
}
