import { closeSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs'
import { CoveError } from '@cove/domain'

const MAX_BYTES = 64 * 1024 * 1024

/** Lines that are kept, in two files at most: this one, and the one before it with `.1` behind its name. */
export interface LogFile extends Disposable {
  /** Writes now. A line that the disk does not take is lost: a log must not end what it tells of. */
  write(line: string): void
}

/** Appends to the file, made with 0600. `io-error` when it cannot be opened. */
export function openLogFile(path: string, maxBytes = MAX_BYTES): LogFile {
  let { descriptor, size, isFile } = open(path)
  const turnOver = (): void => {
    renameSync(path, `${path}.1`)
    const before = descriptor
    ;({ descriptor, size, isFile } = open(path))
    closeSync(before)
  }
  return {
    write(line) {
      try {
        if (isFile && size > 0 && size + Buffer.byteLength(line) > maxBytes) turnOver()
        size += writeSync(descriptor, line)
      } catch {
        // The next line may fit again.
      }
    },
    [Symbol.dispose]: () => closeSync(descriptor),
  }
}

function open(path: string): { descriptor: number; size: number; isFile: boolean } {
  try {
    const descriptor = openSync(path, 'a', 0o600)
    const stat = fstatSync(descriptor)
    return { descriptor, size: stat.size, isFile: stat.isFile() }
  } catch (cause) {
    throw new CoveError(
      'io-error',
      `the log file ${path} cannot be opened: ${cause instanceof Error ? cause.message : String(cause)}`,
      { path },
      { fix: 'Name another one with --log-file, in a folder that is there.', cause },
    )
  }
}
