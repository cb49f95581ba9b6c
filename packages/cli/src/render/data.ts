import type { OutputFormat } from '../options/output-options.ts'
import type { Io } from '../io.ts'

export type DataFormat = Exclude<OutputFormat, 'table'>

/** Indented for people, who pipe it into other programs as well. Both formats have the same fields. */
export async function dataText(format: DataFormat, value: unknown): Promise<string> {
  const json = JSON.stringify(value, null, 2).replace(CONTROLS, escaped)
  if (format === 'json') return `${json}\n`
  const { stringify } = await import('yaml')
  // Many readers know YAML 1.1 only, to which a bare `no` is a truth and `12:30:00` a number.
  const text = stringify(JSON.parse(json), { lineWidth: 0, compat: 'yaml-1.1' })
  // What the library leaves as it is would reach the terminal; JSON is YAML too.
  return text.search(CONTROLS) >= 0 ? `${json}\n` : text
}

export async function writeData(io: Io, format: DataFormat, value: unknown): Promise<void> {
  io.stdout.write(await dataText(format, value))
}

/** One of many that come one after another: a line of JSON, or a document of YAML. */
export async function streamText(format: DataFormat, value: unknown): Promise<string> {
  if (format === 'yaml') return `---\n${await dataText('yaml', value)}`
  return `${JSON.stringify(value).replace(CONTROLS, escaped)}\n`
}

/** Those that JSON lets stand in strings, and terminals obey. */
const CONTROLS = /[\u007F-\u009F]/g
const escaped = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
