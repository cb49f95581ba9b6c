import { oneLine } from './text.ts'

export interface Column<Row> {
  readonly title: string
  /** Room that rows which come later may need. */
  readonly minWidth?: number
  readonly cell: (row: Row) => string
}

/** Columns as wide as their widest cell, two spaces apart, nothing behind the last. */
export class Table<Row> {
  readonly #columns: readonly Column<Row>[]
  #widths: number[]

  constructor(columns: readonly Column<Row>[]) {
    this.#columns = columns
    this.#widths = columns.map(({ title, minWidth = 0 }) => Math.max(title.length, minWidth))
  }

  header(rows: readonly Row[] = []): string {
    for (const row of rows) this.#cells(row).forEach((cell, index) => this.#widen(index, cell.length))
    return this.#line(this.#columns.map(({ title }) => title))
  }

  row(row: Row): string {
    return this.#line(this.#cells(row))
  }

  text(rows: readonly Row[]): string {
    return [this.header(rows), ...rows.map((row) => this.row(row))].join('')
  }

  #cells(row: Row): string[] {
    return this.#columns.map(({ cell }) => oneLine(cell(row)))
  }

  #widen(index: number, width: number): void {
    this.#widths[index] = Math.max(this.#widths[index] ?? 0, width)
  }

  #line(cells: readonly string[]): string {
    const padded = cells.map((cell, index) => cell.padEnd(this.#widths[index] ?? 0))
    return `${padded.join('  ').trimEnd()}\n`
  }
}
