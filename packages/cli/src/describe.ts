import type { Command } from 'commander'
import { environmentName, SETTING_NAMES, SETTINGS } from './config/settings.ts'
import { describeProgram } from './program.ts'

const refuse = (): Promise<never> => Promise.reject(new Error('this is only described'))

/** Every command with everything that it takes, for those who write about it; nothing of it can be run. */
export function describeCommandLine(): Promise<Command> {
  const io = { stdin: process.stdin, stdout: process.stdout, stderr: process.stderr, env: {} }
  return describeProgram({ context: { io, client: refuse }, run: refuse, load: () => true })
}

export interface SettingInfo {
  readonly name: string
  readonly variable: string
  readonly about: string
  /** Undefined where it depends on who runs Cove; empty for none. */
  readonly usual: string | undefined
}

/** Every setting of the daemon. */
export function describeSettings(): SettingInfo[] {
  return SETTING_NAMES.map((name) => {
    const { about, fallback } = SETTINGS[name]
    return { name, about, variable: environmentName(name), usual: typeof fallback === 'string' ? fallback : undefined }
  })
}
