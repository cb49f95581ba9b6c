import { CoveError } from '@cove/domain'
import { parseInstaller, parseInterpreter, type McpOptions, type RuntimeCommand } from '@cove/server'
import type { Settings } from '../config/settings.ts'

/** The MCP door's part of the configuration. `config-invalid` when settings contradict each other. */
export function mcpOptions(settings: Settings): McpOptions {
  const { mcpIdleTimeout, mcpMaxIdleTimeout, mcpExecTimeout, mcpMaxExecTimeout } = settings
  if (mcpMaxIdleTimeout !== 'never' && (mcpIdleTimeout === 'never' || mcpIdleTimeout > mcpMaxIdleTimeout)) {
    throw contradiction('mcpIdleTimeout', 'mcpMaxIdleTimeout')
  }
  if (mcpExecTimeout > mcpMaxExecTimeout) throw contradiction('mcpExecTimeout', 'mcpMaxExecTimeout')
  return {
    settings: {
      maxEnvironments: settings.mcpMaxEnvironments,
      idleMs: mcpIdleTimeout,
      maxIdleMs: mcpMaxIdleTimeout,
      execMs: mcpExecTimeout,
      maxExecMs: mcpMaxExecTimeout,
      installMs: settings.mcpInstallTimeout,
      bootMs: settings.mcpBootTimeout,
      outputBytes: settings.mcpMaxOutput,
      network: settings.mcpNetwork,
    },
    commands: {
      python: command(settings.runtimePython, 'runtimePython', settings.installPython, 'installPython'),
      node: command(settings.runtimeNode, 'runtimeNode', settings.installNode, 'installNode'),
      shell: command(settings.runtimeShell, 'runtimeShell', settings.installShell, 'installShell'),
    },
  }
}

function command(run: string, runField: string, install: string, installField: string): RuntimeCommand {
  return {
    ...(run === '' ? {} : { run: parseInterpreter(run, runField) }),
    ...(install === '' ? {} : { install: parseInstaller(install, installField) }),
  }
}

function contradiction(usual: string, most: string): CoveError {
  return new CoveError(
    'config-invalid',
    `the configuration is wrong: ${usual} is longer than ${most}`,
    {},
    {
      fix: `Lower ${usual} or raise ${most}.`,
    },
  )
}
