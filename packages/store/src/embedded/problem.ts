import type { WireProblem } from './messages.ts'
import { DamagedRow } from './rows.ts'

/**
 * A refusal on the worker's side of the wire. It is not a `CoveError`, because the worker loads nothing it can do
 * without: it is on the way to readiness.
 */
export class Problem extends Error {
  readonly wire: WireProblem

  constructor(wire: WireProblem, cause?: unknown) {
    super(wire.message, { cause })
    this.wire = wire
  }
}

/** Primary result codes of SQLite (https://sqlite.org/rescode.html). */
const SQLITE = { busy: 5, locked: 6, readonly: 8, ioerr: 10, corrupt: 11, full: 13, cantopen: 14, notadb: 26 } as const

/** Names what SQLite threw; whatever else was thrown comes out as `internal`. */
export function problemOf(thrown: unknown, path: string): Problem {
  if (thrown instanceof Problem) return thrown
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  if (thrown instanceof DamagedRow) return corrupt(path, message, thrown)
  const errno = thrown instanceof Error && 'syscall' in thrown && 'code' in thrown ? thrown.code : undefined
  if (errno === 'ENOSPC' || errno === 'EDQUOT') return noSpace(path, thrown)
  if (errno !== undefined) return unusable(path, message, thrown)
  const code = thrown instanceof Error && 'errcode' in thrown && typeof thrown.errcode === 'number' ? thrown.errcode : 0
  switch (code & 0xff) {
    case SQLITE.busy:
    case SQLITE.locked:
      return locked(path, thrown)
    case SQLITE.corrupt:
    case SQLITE.notadb:
      return corrupt(path, message, thrown)
    case SQLITE.full:
      return noSpace(path, thrown)
    case SQLITE.readonly:
    case SQLITE.ioerr:
    case SQLITE.cantopen:
      return unusable(path, message, thrown)
    default:
      return new Problem({ code: 'internal', message: `the store ${path} failed: ${message}` }, thrown)
  }
}

export function locked(path: string, cause?: unknown): Problem {
  return new Problem({ code: 'store-locked', message: `the store ${path} is in use by another process` }, cause)
}

export function corrupt(path: string, why: string, cause?: unknown): Problem {
  return new Problem({ code: 'store-corrupt', message: `the store ${path} is damaged: ${why}` }, cause)
}

function noSpace(path: string, cause: unknown): Problem {
  return new Problem(
    {
      code: 'no-space',
      message: `there is no space left for the store ${path}; nothing was changed`,
      fix: 'Free space on the disk that holds the data directory.',
    },
    cause,
  )
}

function unusable(path: string, why: string, cause: unknown): Problem {
  return new Problem(
    {
      code: 'io-error',
      message: `the store ${path} cannot be used: ${why}`,
      fix: 'Check that the directory exists and that this user may read and write in it.',
    },
    cause,
  )
}
