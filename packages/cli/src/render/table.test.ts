import { expect, it } from 'vitest'
import { Table } from './table.ts'

const columns = [
  { title: 'NAME', cell: (row: { name: string; size: number }) => row.name },
  { title: 'SIZE', minWidth: 6, cell: (row: { name: string; size: number }) => String(row.size) },
  { title: 'END', cell: () => 'x' },
]

it('is as wide as its widest cells and ends its lines without blanks', () => {
  const rows = [
    { name: 'a', size: 1 },
    { name: 'longer', size: 22 },
  ]
  expect(new Table(columns).text(rows)).toBe('NAME    SIZE    END\na       1       x\nlonger  22      x\n')
})

it('has its head alone when there is nothing', () => {
  expect(new Table(columns).text([])).toBe('NAME  SIZE    END\n')
})

it('keeps every row on one line, whatever it holds', () => {
  expect(new Table(columns).text([{ name: 'a\nb\u001B[2J', size: 0 }]).split('\n')).toHaveLength(3)
})
