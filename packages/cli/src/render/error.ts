import { CoveError } from '@cove/domain'
import { STATUS } from '../exit-status.ts'
import type { Io } from '../io.ts'
import { UsageError } from '../usage-error.ts'
import { styler } from './style.ts'
import { printable } from './text.ts'

/** What is known about where the errors of one command line come from. */
const explanations = new WeakMap<Io, (error: CoveError) => CoveError>()

/** From now on errors are told as this makes them. */
export function explainErrors(io: Io, explain: (error: CoveError) => CoveError): void {
  explanations.set(io, explain)
}

/** Writes what went wrong and what to do now to stderr, and answers with the exit status. */
export function renderError(thrown: unknown, io: Io): number {
  if (thrown instanceof UsageError) {
    writeError(io, thrown.message, thrown.fix)
    return STATUS.usage
  }
  const plain = CoveError.from(thrown)
  const error = explanations.get(io)?.(plain) ?? plain
  const request = error.requestId === undefined ? '' : ` (request ${error.requestId})`
  writeError(io, `${error.message}${error.code === 'internal' ? request : ''}`, error.fix)
  return STATUS.failure
}

export function writeError(io: Io, message: string, fix: string): void {
  const style = styler(io.stderr, io.env)
  io.stderr.write(`${style('red', 'error:')} ${printable(message)}\n${style('bold', 'fix:')} ${printable(fix)}\n`)
}

export function writeWarning(io: Io, message: string): void {
  io.stderr.write(`${styler(io.stderr, io.env)('yellow', 'warning:')} ${printable(message)}\n`)
}
