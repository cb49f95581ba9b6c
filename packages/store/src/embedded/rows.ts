import type { SQLOutputValue } from 'node:sqlite'
import type { KeyValue } from '@cove/domain'

/** Columns by number; one of another type than the schema's means a damaged file. */
export type Row = Readonly<Record<number, SQLOutputValue>>

export class DamagedRow extends Error {}

export function integer(row: Row, column: number): number {
  const value = row[column]
  if (typeof value !== 'number') throw new DamagedRow(`column ${column} is not an integer`)
  return value
}

export function bytes(row: Row, column: number): Uint8Array {
  const value = row[column]
  if (!(value instanceof Uint8Array)) throw new DamagedRow(`column ${column} is not a blob`)
  return value
}

export function text(row: Row, column: number): string {
  const value = row[column]
  if (typeof value !== 'string') throw new DamagedRow(`column ${column} is not text`)
  return value
}

export function keyText(row: Row, column: number): string {
  const key = bytes(row, column)
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('utf8')
}

/** Columns `value, create_rev, mod_rev, lease` from `first` on. */
export function itemOf(key: string, row: Row, first: number): KeyValue {
  const lease = row[first + 3]
  return {
    key,
    value: bytes(row, first),
    createRevision: integer(row, first + 1),
    modRevision: integer(row, first + 2),
    ...(typeof lease === 'string' ? { lease } : {}),
  }
}

/** Below this are all keys that start with the prefix: UTF-8 never has the byte 0xff, so the last one can grow. */
export function prefixEnd(prefix: Uint8Array): Uint8Array {
  const end = prefix.length === 0 ? Uint8Array.of(0xfe) : new Uint8Array(prefix)
  end[end.length - 1] = (end.at(-1) ?? 0) + 1
  return end
}
