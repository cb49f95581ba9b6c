import type { Io } from '../io.ts'
import type { ReportArgs } from '../daemon/up-args.ts'
import { loadConfig } from './load.ts'
import { environmentName, flagName, SETTING_NAMES, SETTINGS } from './settings.ts'

/** `cove config view`: every setting, its value, and where the value comes from. */
export async function configView(args: ReportArgs, io: Io): Promise<number> {
  const config = await loadConfig({ env: io.env, flags: args.flags, file: args.config })
  const rows = SETTING_NAMES.map((name) => ({
    name,
    value: config.origins[name].text,
    source: config.origins[name].source,
    from: config.origins[name].from,
    environment: environmentName(name),
    flag: flagName(name),
    about: SETTINGS[name].about,
  }))
  if (args.output === 'json') {
    io.stdout.write(
      `${JSON.stringify({ file: config.file, fileExists: config.fileExists, settings: rows }, null, 2)}\n`,
    )
    return 0
  }
  const widths = {
    name: Math.max(...rows.map(({ name }) => name.length)),
    value: Math.max(5, ...rows.map(({ value }) => value.length)),
  }
  const line = (name: string, value: string, source: string) =>
    `${name.padEnd(widths.name)}  ${value.padEnd(widths.value)}  ${source}`.trimEnd()
  const lines = [
    line('SETTING', 'VALUE', 'SOURCE'),
    ...rows.map(({ name, value, source, from }) =>
      line(name, value === '' ? '-' : value, source === 'default' ? source : `${source} (${from})`),
    ),
    '',
    `file: ${config.file}${config.fileExists ? '' : ' (not there)'}`,
  ]
  io.stdout.write(`${lines.join('\n')}\n`)
  return 0
}
