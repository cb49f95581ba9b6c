import type { Command } from 'commander'
import type { Flags } from '../config/load.ts'
import { flagName, SETTING_NAMES, SETTINGS, type SettingName } from '../config/settings.ts'
import type { ConfigArgs } from '../daemon/up-args.ts'

/** An option for every setting, so that the three ways to set one cannot drift apart. */
export function addSettingOptions(command: Command): Command {
  command.optionsGroup('Settings (also in the configuration file and as COVE_*):')
  command.option('--config <file>', 'configuration file')
  for (const name of SETTING_NAMES) {
    const { about, fallback } = SETTINGS[name]
    const usual = typeof fallback === 'string' && fallback !== '' ? ` (default: ${fallback})` : ''
    command.option(`${flagName(name)} ${isTruth(name) ? '[true|false]' : '<value>'}`, `${about}${usual}`)
  }
  return command
}

export function configArgs(command: Command): ConfigArgs {
  const parsed = command.opts<Record<string, string | boolean | undefined>>()
  const flags: Partial<Record<SettingName, string>> = {}
  for (const name of SETTING_NAMES) {
    const value = parsed[name]
    if (value !== undefined) flags[name] = String(value)
  }
  const { config } = parsed
  return { flags: flags satisfies Flags, ...(typeof config === 'string' ? { config } : {}) }
}

function isTruth(name: SettingName): boolean {
  const { fallback } = SETTINGS[name]
  return fallback === 'true' || fallback === 'false'
}
