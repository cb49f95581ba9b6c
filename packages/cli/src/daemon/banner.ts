import { formatDuration, type DriverReport } from '@cove/domain'

interface Facts {
  readonly version: string
  readonly url: string
  readonly keyFile: string
  readonly readyMs: number
  readonly drivers: readonly DriverReport[]
  readonly adopted: number
  /** How the reader calls this program, `./cove` in a checkout. */
  readonly program: string
  /** Configuration for clients of MCP, in one line. */
  readonly mcp: string
}

/** What `cove up` prints when it is ready. */
export function banner({ version, url, keyFile, readyMs, drivers, adopted, program, mcp }: Facts): string {
  const lines = [
    `Cove ${version} is ready in ${formatDuration(Math.round(readyMs))}.`,
    '',
    `  API       ${url}`,
    `  API key   ${keyFile}`,
    ...provenLines(drivers).map((line, index) => `  ${index === 0 ? 'Drivers  ' : '         '} ${line}`),
  ]
  if (adopted > 0) lines.push(`  Adopted   ${adopted} running ${adopted === 1 ? 'sandbox' : 'sandboxes'}`)
  lines.push('', `  Agents    ${mcp}`)
  lines.push(`  Try it    ${program} run python -c 'print(6*7)'`, '')
  return lines.join('\n')
}

/** Those that run here, and the names of the others: why not is for `cove doctor`. */
function provenLines(drivers: readonly DriverReport[]): readonly string[] {
  const others = drivers.filter(({ fingerprint }) => !fingerprint.proven).map(({ name }) => name)
  const note = others.length === 0 ? [] : [`not here: ${others.join(', ')} (cove doctor says why)`]
  return [...driverLines(drivers.filter(({ fingerprint }) => fingerprint.proven)), ...note]
}

/** One line per driver: name, isolation, and whether it is proven; otherwise why not, and the fix. */
export function driverLines(drivers: readonly DriverReport[]): readonly string[] {
  return drivers.flatMap(({ name, isolation, fingerprint, chosen }) => {
    const head = `${name.padEnd(12)} ${isolation.padEnd(10)}`
    if (!fingerprint.proven)
      return [`${head} not proven: ${fingerprint.reason}`, `${' '.repeat(24)}fix: ${fingerprint.fix}`]
    const versions = Object.values(fingerprint.details).slice(0, 1).join(' ')
    const speed = fingerprint.native ? '' : ', emulated'
    const wall = isolation === 'process' ? ', no wall' : ''
    return [`${head} proven${versions === '' ? '' : ` (${versions}${speed}${wall})`}${chosen ? '  <- default' : ''}`]
  })
}
