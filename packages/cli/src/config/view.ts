import type { Io } from '../io.ts'
import type { ReportArgs } from '../daemon/up-args.ts'
import { writeData } from '../render/data.ts'
import { Table, type Column } from '../render/table.ts'
import { loadConfig, type Source } from './load.ts'
import { environmentName, flagName, SETTING_NAMES, SETTINGS } from './settings.ts'

interface Row {
  readonly name: string
  readonly value: string
  readonly source: Source
  readonly from: string
}

const COLUMNS: readonly Column<Row>[] = [
  { title: 'SETTING', cell: ({ name }) => name },
  { title: 'VALUE', cell: ({ value }) => (value === '' ? '-' : value) },
  { title: 'SOURCE', cell: ({ source, from }) => (source === 'default' ? source : `${source} (${from})`) },
]

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
  const { format, headers } = args.output
  if (format !== 'table') {
    await writeData(io, format, { file: config.file, fileExists: config.fileExists, settings: rows })
    return 0
  }
  io.stdout.write(new Table(COLUMNS).text(rows, headers))
  io.stdout.write(`\nfile: ${config.file}${config.fileExists ? '' : ' (not there)'}\n`)
  return 0
}
