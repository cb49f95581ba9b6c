import type { Io } from '../io.ts'
import type { OutputChoice } from '../options/output-options.ts'
import { writeData } from './data.ts'
import { Table, type Column } from './table.ts'

interface ListView<Row> {
  readonly columns: readonly Column<Row>[]
  readonly id: (row: Row) => string
}

/** A list as the user has asked for it. */
export async function writeList<Row>(
  io: Io,
  { format, quiet, headers }: OutputChoice,
  rows: readonly Row[],
  { columns, id }: ListView<Row>,
): Promise<void> {
  if (format !== 'table') await writeData(io, format, quiet ? rows.map(id) : rows)
  else if (quiet) io.stdout.write(rows.map((row) => `${id(row)}\n`).join(''))
  else io.stdout.write(new Table(columns, tableWidth(io)).text(rows, headers))
}

/** Where a person looks, as wide as the window; otherwise nothing is cut. */
export function tableWidth({ stdout }: Io): number {
  const { isTTY, columns = 0 } = stdout
  return isTTY === true && columns > 0 ? columns : Number.POSITIVE_INFINITY
}
