import { oneLine } from './text.ts'

export interface Column<Row> {
  readonly title: string
  /** Room that rows which come later may need. */
  readonly minWidth?: number
  /** May be cut where the window is narrow. */
  readonly cut?: boolean
  readonly cell: (row: Row) => string
}

const GAP = 2
/** A cell that is cut keeps so much at least, however narrow the window. */
const LEAST = 8

/** Columns as wide as their widest cell, two spaces apart, nothing behind the last. */
export class Table<Row> {
  readonly #columns: readonly Column<Row>[]
  readonly #width: number
  #widths: number[]

  constructor(columns: readonly Column<Row>[], width = Number.POSITIVE_INFINITY) {
    this.#columns = columns
    this.#width = width
    this.#widths = columns.map(({ title, minWidth = 0 }) => Math.max(title.length, minWidth))
  }

  header(rows: readonly Row[] = []): string {
    this.#fit(rows)
    return this.#line(this.#columns.map(({ title }) => title))
  }

  row(row: Row): string {
    return this.#line(this.#cells(row))
  }

  text(rows: readonly Row[], headers = true): string {
    const head = this.header(rows)
    return [headers ? head : '', ...rows.map((row) => this.row(row))].join('')
  }

  #cells(row: Row): string[] {
    return this.#columns.map(({ cell }) => oneLine(cell(row)))
  }

  #fit(rows: readonly Row[]): void {
    for (const row of rows) {
      this.#cells(row).forEach((cell, index) => {
        this.#widths[index] = Math.max(this.#widths[index] ?? 0, cell.length)
      })
    }
  }

  #line(cells: readonly string[]): string {
    const room = this.#width - this.#widths.reduce((sum, width) => sum + width + GAP, -GAP)
    const padded = cells.map((cell, index) => {
      const width = this.#widths[index] ?? 0
      if (this.#columns[index]?.cut !== true || room >= 0) return cell.padEnd(width)
      const most = Math.max(LEAST, width + room)
      return (cell.length > most ? `${cell.slice(0, most - 1)}…` : cell).padEnd(Math.min(width, most))
    })
    return `${padded.join(' '.repeat(GAP)).trimEnd()}\n`
  }
}
